// The published NodeJS client over TLS, told nothing but an address, a certificate and a token: from an empty account to
// predictions. The first two calls are the guide's. Prints what it saw as one JSON line.
const fs = require("fs");
const path = require("path");
const { ClarifaiStub, grpc } = require("clarifai-nodejs-grpc");

const stub = ClarifaiStub.grpc();
const metadata = new grpc.Metadata();
metadata.set("authorization", "Key " + process.env.PAT);
const user_app_id = { user_id: process.env.USER_ID, app_id: "nodejs" };
const SUCCESS = 10000;

function ask(rpc, request, as = metadata) {
  return new Promise((resolve, reject) =>
    stub[rpc]({ user_app_id, ...request }, as, (error, response) => (error ? reject(error) : resolve(response))),
  );
}

async function call(rpc, request) {
  const response = await ask(rpc, request);
  if (response.status.code !== SUCCESS) throw new Error(rpc + ": " + JSON.stringify(response.status));
  return response;
}

async function until(condition, seconds = 120) {
  const deadline = Date.now() + seconds * 1000;
  for (let seen; !(seen = await condition()); await new Promise((resolve) => setTimeout(resolve, 100)))
    if (Date.now() > deadline) throw new Error("not so within " + seconds + " s: " + condition);
}

async function upload(folder) {
  const inputs = [];
  for (const label of fs.readdirSync(folder))
    for (const name of fs.readdirSync(path.join(folder, label)))
      inputs.push({
        id: path.parse(name).name,
        data: { image: { base64: fs.readFileSync(path.join(folder, label, name)) }, concepts: [{ id: label, value: 1 }] },
      });
  for (let start = 0; start < inputs.length; start += 128)
    await call("PostInputs", { inputs: inputs.slice(start, start + 128) });
  await until(async () => (await call("GetInputCount", {})).counts.to_process === 0);
  return inputs;
}

async function main() {
  await call("PostApps", { apps: [{ id: "nodejs" }] });
  const model = (await call("PostModels", { models: [{ id: "petsID", model_type_id: "visual-classifier" }] })).model;

  const types = (await call("ListModelTypes", { page: 1, per_page: 500 })).model_types;
  const fields = types.flatMap((type) => type.model_type_fields);
  const choices = fields.filter((field) => field.path.split(".").pop() === "template");

  const inputs = await upload(process.env.FOLDER);
  const first = (await call("GetInput", { input_id: inputs[0].id })).input;
  const listed = (await call("ListInputs", { page: 3, per_page: 100 })).inputs;

  // As the client's own page warns: a plain object loses every parameter on its way.
  const lost = await ask("PostModelVersions", {
    model_id: "petsID",
    model_versions: [{ train_info: { params: { template: "luthier_tiny_resnet" } } }],
  });
  const params = { template: { stringValue: "luthier_tiny_resnet" }, num_epochs: { numberValue: 6 }, image_size: { numberValue: 32 } };
  const concepts = [...new Set(inputs.map((input) => input.data.concepts[0].id))].sort();
  const training = await call("PostModelVersions", {
    model_id: "petsID",
    model_versions: [
      { train_info: { params: { fields: params } }, output_info: { data: { concepts: concepts.map((id) => ({ id })) } } },
    ],
  });
  const version_id = training.model.model_version.id;
  const version = async () => (await call("GetModelVersion", { model_id: "petsID", version_id })).model_version;
  await until(async () => [21100, 21106].includes((await version()).status.code), 240);

  const outputs = (
    await call("PostModelOutputs", {
      model_id: "petsID",
      version_id,
      inputs: inputs.slice(0, 40).map((input) => ({ data: { image: input.data.image } })),
    })
  ).outputs;

  const stranger = new grpc.Metadata();
  stranger.set("authorization", "Key not-a-token");
  const refused = await ask("ListApps", {}, stranger);

  console.log(
    JSON.stringify({
      model: { id: model.id, status: model.model_version.status.code },
      types: types.length,
      templates: choices.flatMap((field) => field.model_type_enum_options.map((option) => option.id)),
      inputs: inputs.length,
      first: { id: first.id, status: first.status.code, concept: first.data.concepts[0] },
      listed: listed.length,
      lost: lost.status,
      queued: training.model.model_version.status.code,
      trained: (await version()).status,
      right: outputs.filter((output, n) => output.data.concepts[0].id === inputs[n].data.concepts[0].id).length,
      concepts: outputs[0].data.concepts.length,
      refused: refused.status.code,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
