// `java Flow PORT [AUTHORITY.pem]`: the guide's calls over TLS. Without an authority it trusts every certificate, which is
// what the published Java client does. Prints what it saw, a line each.
import com.clarifai.grpc.api.App;
import com.clarifai.grpc.api.ListModelTypesRequest;
import com.clarifai.grpc.api.Model;
import com.clarifai.grpc.api.ModelType;
import com.clarifai.grpc.api.ModelTypeField;
import com.clarifai.grpc.api.ModelVersion;
import com.clarifai.grpc.api.PostAppsRequest;
import com.clarifai.grpc.api.PostModelVersionsTrainingTimeEstimateRequest;
import com.clarifai.grpc.api.PostModelsRequest;
import com.clarifai.grpc.api.TrainInfo;
import com.clarifai.grpc.api.UserAppIDSet;
import com.clarifai.grpc.api.V2Grpc;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import java.io.File;

public class Flow {
  public static void main(String[] arguments) throws Exception {
    SslContextBuilder tls = GrpcSslContexts.forClient();
    tls = arguments.length > 1
        ? tls.trustManager(new File(arguments[1]))
        : tls.trustManager(InsecureTrustManagerFactory.INSTANCE);
    ManagedChannel channel = NettyChannelBuilder
        .forAddress("localhost", Integer.parseInt(arguments[0])).sslContext(tls.build()).build();
    Metadata metadata = new Metadata();
    metadata.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Key " + System.getenv("PAT"));
    V2Grpc.V2BlockingStub stub = V2Grpc.newBlockingStub(channel)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
    String id = System.getenv("APP_ID");
    UserAppIDSet ids = UserAppIDSet.newBuilder().setUserId(System.getenv("USER_ID")).setAppId(id).build();

    System.out.println("app " + stub.postApps(
        PostAppsRequest.newBuilder().setUserAppId(ids).addApps(App.newBuilder().setId(id)).build()).getStatus().getCode());
    Model model = stub.postModels(PostModelsRequest.newBuilder().setUserAppId(ids)
        .addModels(Model.newBuilder().setId("petsID").setModelTypeId("visual-classifier")).build()).getModel();
    System.out.println("model " + model.getId() + " " + model.getModelVersion().getStatus().getCode());
    for (ModelType type : stub.listModelTypes(
        ListModelTypesRequest.newBuilder().setUserAppId(ids).build()).getModelTypesList())
      for (ModelTypeField field : type.getModelTypeFieldsList())
        if (field.getPath().endsWith(".template"))
          field.getModelTypeEnumOptionsList().forEach(option -> System.out.println("template " + option.getId()));
    Struct params = Struct.newBuilder()
        .putFields("template", Value.newBuilder().setStringValue("MMDetection_FasterRCNN").build()).build();
    System.out.println("estimate " + stub.postModelVersionsTrainingTimeEstimate(
        PostModelVersionsTrainingTimeEstimateRequest.newBuilder().setUserAppId(ids).setModelId("petsID")
            .addModelVersions(ModelVersion.newBuilder().setTrainInfo(TrainInfo.newBuilder().setParams(params)))
            .setEstimatedInputCount(100).build()).getStatus().getCode());
    channel.shutdown();
  }
}
