"""What a program does with the published Python client, unchanged: `client.py CASE`."""

import sys
import time

import grpc
from openshell import (
    DeletionOutcome,
    ExecChunk,
    ExecResult,
    GatewayError,
    Sandbox,
    SandboxClient,
    WorkspaceClient,
)
from openshell._proto import openshell_pb2, sandbox_pb2

HERE = {"workspace": "default"}


def spec(*command, **others):
    return openshell_pb2.SandboxSpec(command=command, **others)


def client():
    return SandboxClient.from_active_cluster()


def refused(code, call, *words, **named):
    try:
        call(*words, **named)
    except GatewayError as error:
        assert error.code() == code, (error.code(), error.details())
        assert error.details(), "a refusal says why"
        return error.details()
    raise AssertionError(f"{call} {words} {named} was not refused with {code}")


def is_healthy_and_has_a_workspace():
    with client() as gateway:
        health = gateway.health()
        assert health.status == openshell_pb2.SERVICE_STATUS_HEALTHY, health
        assert health.version
        workspaces = WorkspaceClient.from_sandbox_client(gateway)
        default = workspaces.get("default")
        assert default.phase == "WORKSPACE_PHASE_ACTIVE", default
        assert [one.name for one in workspaces.list_all()] == ["default"]
        refused(grpc.StatusCode.NOT_FOUND, workspaces.get, "nowhere")


def creates_lists_and_deletes():
    with client() as gateway:
        made = gateway.create(**HERE, labels={"team": "a"})
        assert made.id and made.workspace == "default" and made.labels == {"team": "a"}, made
        assert len(made.name.split("-")) == 2 and len(made.name) <= 19, made.name
        assert made.phase in (
            openshell_pb2.SANDBOX_PHASE_PROVISIONING,
            openshell_pb2.SANDBOX_PHASE_READY,
        ), made
        ready = gateway.wait_ready(made.name, **HERE)
        assert ready == gateway.get(made.name, **HERE) and ready.id == made.id
        assert ready.phase == openshell_pb2.SANDBOX_PHASE_READY, ready

        names = [f"box{number}" for number in range(4)]
        for name in names:
            gateway.create(**HERE, name=name, spec=spec("sleep", "1000"), labels={"team": "b"})
        names = [made.name, *names]
        pages = [[one.name for one in page.items] for page in gateway.list(**HERE, page_size=2)]
        assert pages == [names[0:2], names[2:4], names[4:5]], pages
        picked = gateway.list_all(**HERE, page_size=3, label_selector="team=b")
        assert [one.name for one in picked] == names[1:], picked
        assert len(gateway.list_ids(**HERE)) == len(set(gateway.list_ids(**HERE))) == 5
        assert len(gateway.list_all_for_all_workspaces()) == 5

        for name in names:
            known = gateway.get(name, **HERE)
            result = gateway.delete(name, **HERE)
            assert result.sandbox_id == known.id, result
            assert result.outcome in (DeletionOutcome.COMPLETED, DeletionOutcome.ACCEPTED), result
            gateway.wait_deleted(name, **HERE, expected_sandbox_id=known.id)
        assert gateway.list_all(**HERE) == []
        again = gateway.delete(made.name, **HERE, allow_missing=True)
        assert again.outcome == DeletionOutcome.ALREADY_ABSENT, again


def runs_commands():
    with client() as gateway:
        gateway.create(**HERE, name="runner")
        gateway.wait_ready("runner", **HERE)

        def run(*command, **options):
            return gateway.exec("runner", command, **HERE, **options)

        assert run("echo", "two words") == ExecResult(0, "two words\n", "")
        assert run("sh", "-c", "echo out; echo err >&2; exit 7") == ExecResult(7, "out\n", "err\n")
        assert run("sh", "-c", "kill -KILL $$").exit_code == 137
        assert run("no-such-program").exit_code == 127
        assert run("no-such-program", no_login_shell=True).exit_code == 127
        assert run("pwd").stdout == "/sandbox\n"
        assert run("pwd", workdir="/tmp").stdout == "/tmp\n"
        gone = run("pwd", workdir="/nowhere")
        assert gone.exit_code == 125 and "working directory" in gone.stderr, gone
        assert run("sh", "-c", 'echo "$A$B"', env={"A": "1 ", "B": "'2'"}).stdout == "1 '2'\n"
        assert run("printf", "%s", "a\nb").stdout == "a\nb"
        assert run("cat", stdin=b"\xc3\xa9\n").stdout == "\u00e9\n"
        assert run("cat").stdout == "", "no input is an empty one"
        assert run("bash", "-s", stdin=b"echo one\necho two\n").stdout == "one\ntwo\n"
        assert run("wc", "-c", stdin=bytes(3_900_000)).stdout.strip() == "3900000"
        assert len(run("head", "-c", "20000000", "/dev/zero").stdout) == 20_000_000
        assert run("echo", "plain", no_login_shell=True).stdout == "plain\n"

        started = time.monotonic()
        assert run("sh", "-c", "echo before; sleep 60", timeout_seconds=1) == ExecResult(
            124, "before\n", ""
        )
        assert time.monotonic() - started < 8
        assert run("sh", "-c", "exit 3", timeout_seconds=20).exit_code == 3

        script = "echo first; sleep 0.5; echo second >&2"
        times, events = [], []
        for event in gateway.exec_stream("runner", ["sh", "-c", script], **HERE):
            times.append(time.monotonic())
            events.append(event)
        assert events == [
            ExecChunk("stdout", b"first\n"),
            ExecChunk("stderr", b"second\n"),
            ExecResult(0, "first\n", "second\n"),
        ], events
        assert times[1] - times[0] > 0.2, "output comes as it is written"


def is_told_what_was_wrong():
    code = grpc.StatusCode
    with client() as gateway:
        gateway.create(**HERE, name="taken", spec=spec("sleep", "1000"))
        gateway.wait_ready("taken", **HERE)
        refused(code.ALREADY_EXISTS, gateway.create, **HERE, name="taken")
        for name in ("Capital", "under_score", "two--hyphens", "-first", "x" * 20):
            refused(code.INVALID_ARGUMENT, gateway.create, **HERE, name=name)
        refused(code.INVALID_ARGUMENT, gateway.create, **HERE, labels={"a key": "x"})
        refused(code.INVALID_ARGUMENT, gateway.create, **HERE, spec=spec("a\0b"))
        refused(code.FAILED_PRECONDITION, gateway.create, **HERE, spec=spec(providers=["none"]))
        refused(code.NOT_FOUND, gateway.create, workspace="nowhere")

        for call in (gateway.get, gateway.delete):
            refused(code.NOT_FOUND, call, "absent", **HERE)
            refused(code.NOT_FOUND, call, "taken", workspace="nowhere")
        refused(code.INVALID_ARGUMENT, gateway.get, "", **HERE)

        listed = lambda **named: gateway.list_all(**HERE, **named)
        refused(code.INVALID_ARGUMENT, listed, page_token="forged")
        refused(code.INVALID_ARGUMENT, listed, label_selector="a in (b)")

        run = lambda *command, **named: gateway.exec("taken", command, **HERE, **named)
        refused(code.NOT_FOUND, gateway.exec, "absent", ["true"], **HERE)
        refused(code.INVALID_ARGUMENT, run, "true", env={"A-B": "x"})
        refused(code.INVALID_ARGUMENT, run, "true", env={"A": "x\ny"})
        refused(code.INVALID_ARGUMENT, run, "true", workdir="/tmp\n")
        refused(code.INVALID_ARGUMENT, run, "echo", "x" * 40_000)
        refused(code.INVALID_ARGUMENT, run, "echo", *["x"] * 1024)

        gateway.create(**HERE, name="brief", spec=spec("true"))
        gateway.wait_ready("brief", **HERE)
        refused(code.FAILED_PRECONDITION, gateway.exec, "brief", ["true"], **HERE)
        unserved = WorkspaceClient.from_sandbox_client(gateway).create
        assert "CreateWorkspace" in refused(code.UNIMPLEMENTED, unserved, "another")


def sets_a_policy():
    policy = sandbox_pb2.SandboxPolicy(version=1)
    policy.filesystem.include_workdir = True
    policy.filesystem.read_only.extend(["/usr", "/lib", "/etc"])
    policy.filesystem.read_write.extend(["/sandbox", "/tmp", "/dev/null"])
    policy.landlock.compatibility = "best_effort"
    policy.process.run_as_user = "sandbox"
    policy.process.run_as_group = "sandbox"
    rule = policy.network_policies["web"]
    rule.name = "web"
    rule.endpoints.add(host="host.openshell.internal", port=1)
    rule.binaries.add(path="/usr/bin/curl")
    with client() as gateway:
        gateway.create(**HERE, name="strict", spec=spec("sleep", "1000", policy=policy))
        assert gateway.wait_ready("strict", **HERE).current_policy_version == 1

        def status(url, command=("curl",)):
            words = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", url]
            return gateway.exec("strict", [*command, *words], **HERE).stdout

        # Nothing listens at the port: what is allowed fails later than what is denied.
        assert status("http://host.openshell.internal:1/") == "502"
        assert status("http://host.openshell.internal:2/") == "403"
        assert gateway.exec("strict", ["touch", "/usr/x"], **HERE).exit_code == 1
        assert gateway.exec("strict", ["touch", "/sandbox/x"], **HERE).exit_code == 0

        policy.version = 7
        wrong = spec("true", policy=policy)
        said = refused(grpc.StatusCode.INVALID_ARGUMENT, gateway.create, **HERE, spec=wrong)
        assert "version" in said, said
        assert [one.name for one in gateway.list_all(**HERE)] == ["strict"]


def is_a_context():
    with Sandbox(**HERE) as sandbox:
        name, known = sandbox.sandbox.name, sandbox.id
        assert sandbox.exec(["sh", "-c", "echo $OPENSHELL_SANDBOX; id -un"]).stdout == "1\nsandbox\n"
        with Sandbox(**HERE, sandbox=name, delete_on_exit=False) as attached:
            assert attached.id == known
            assert attached.exec(["cat"], stdin=b"x").stdout == "x"
    with client() as gateway:
        refused(grpc.StatusCode.NOT_FOUND, gateway.get, name, **HERE)
    with Sandbox(**HERE, spec=spec("sh", "-c", "exit 3")) as brief:
        status = brief.sandbox.status
        assert status.phase == openshell_pb2.SANDBOX_PHASE_COMPLETED, status
        assert status.exit_code == 3, status


if __name__ == "__main__":
    globals()[sys.argv[1]]()
