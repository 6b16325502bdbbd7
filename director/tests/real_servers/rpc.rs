//! gRPC's health service, on gRPC's own library for Python.

use std::process::Command;

use crate::server::{Server, folder, port, wanted, write};
use crate::support::{bad, good, here};

/// The service by its bytes: Debian has the library, but not the generated health service.
const SERVICE: &str = r#"
import concurrent.futures, sys, grpc
STATES = {b"": b"\x08\x01", b"\x0a\x04shop": b"\x08\x01", b"\x0a\x03bad": b"\x08\x02"}
def check(request, context):
    if request not in STATES:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return STATES[request]
raw = lambda message: message
handler = grpc.unary_unary_rpc_method_handler(check, request_deserializer=raw, response_serializer=raw)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
"#;

#[tokio::test]
async fn grpc() {
    if !wanted("grpc", "/usr/lib/python3/dist-packages/grpc/__init__.py") {
        return;
    }
    let (folder, port) = (folder(), port());
    let service = write(folder.path(), "service.py", SERVICE, &[]);
    let mut command = Command::new("/usr/bin/python3");
    let server = Server::start(command.arg(service).arg(port.to_string()), folder.path()).listening(port);
    let target = here(port);
    good("type = \"grpc\"", &target).await;
    good("type = \"grpc\"\nservice = \"shop\"\nhost = \"shop.example.com\"", &target).await;
    bad("type = \"grpc\"\nservice = \"bad\"", &target, "the service is NOT_SERVING").await;
    bad("type = \"grpc\"\nservice = \"none\"", &target, "NOT_FOUND").await;
    server.hangs_and_dies("type = \"grpc\"", &target).await;
}
