"""Every template by the SDK: its parameters as a file, and what each parameter is."""

import json
import os
from pathlib import Path

import yaml
from clarifai.client.user import User
from clarifai.errors import UserError


def params_of(params, name):
    return json.dumps(params["train_params"].get(name, params.get(name)))


user = User(user_id=os.environ["CLARIFAI_USER_ID"])
app = user.create_app(app_id="sdk-templates", base_workflow="Empty")
seen = {"trainable": app.list_trainable_model_types(), "templates": {}, "params": {}, "without": {}}
for model_type in seen["trainable"]:
    model = app.create_model(model_id=f"a-{model_type}", model_type_id=model_type)
    asked = set()  # by name and default: what one template has told is not asked of the next
    try:
        seen["templates"][model_type] = model.list_training_templates()
    except UserError as error:
        seen["without"][model_type] = str(error)
    for template in seen["templates"].get(model_type) or [None]:
        model = app.model(model_id=f"a-{model_type}")
        params = model.get_params(template=template, save_to="params.yaml")
        assert yaml.safe_load(Path("params.yaml").read_text()) == params
        names = [name for group in params.values() if isinstance(group, dict) for name in group] + [
            name for name, value in params.items() if not isinstance(value, dict)
        ]
        infos = {name: model.get_param_info(name) for name in names if (name, params_of(params, name)) not in asked}
        asked |= {(name, params_of(params, name)) for name in names}
        seen["params"].setdefault(model_type, {})[template or ""] = {"params": params, "infos": infos}
seen["models"] = sorted(one.id for one in app.list_models(only_in_app=True))
user.delete_app("sdk-templates")
print(json.dumps(seen))
