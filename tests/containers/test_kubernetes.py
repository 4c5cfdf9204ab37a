"""Manifests for Kubernetes: those of the composition, valid by its schemas, and as confined."""

import kubernetes_validate
import pytest
import yaml

from scripts.make_kubernetes import COMPOSITION, TARGET, manifests, text_of

# The oldest and the newest of which it is tried.
VERSIONS = ("1.28", "1.33")
COMPOSED = COMPOSITION.read_text()


def workloads(objects):
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each
        for each in objects
        if each["kind"] in ("Deployment", "Job")
    }


def test_they_are_those_of_the_composition():
    assert TARGET.read_text() == text_of(COMPOSED), "run: python -m scripts.make_kubernetes"
    services = yaml.safe_load(COMPOSED)["services"]
    wanted = {name for name, service in services.items() if "profiles" not in service}
    assert set(workloads(manifests(COMPOSED))) == wanted


@pytest.mark.parametrize("version", VERSIONS)
def test_they_keep_the_schemas(version):
    for each in yaml.safe_load_all(TARGET.read_text()):
        kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_would_see_a_mistake():
    wrong = manifests(COMPOSED)[-1]
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_pods_are_confined_and_have_the_keys_of_their_own_part_alone():
    for name, each in workloads(manifests(COMPOSED)).items():
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        confined = container["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert confined["readOnlyRootFilesystem"]
        assert not confined["allowPrivilegeEscalation"]
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        keys = [mount.get("subPath") for mount in container["volumeMounts"] if mount["name"] == "security"]
        if name == "broker":
            assert keys == ["broker", "clients/observer"]
        elif name != "files":
            assert keys == [f"clients/{name}"]
        assert "" not in container["args"]


def test_a_scenario_of_ones_own_reaches_every_container_that_takes_one():
    for name, each in workloads(manifests(COMPOSED, "/scenarios/mine.toml")).items():
        args = each["spec"]["template"]["spec"]["containers"][0]["args"]
        assert ("/scenarios/mine.toml" in args) == (name != "broker")


def test_a_key_that_it_does_not_know_is_refused():
    with pytest.raises(SystemExit, match="feeder: say what becomes of privileged"):
        manifests(COMPOSED.replace("command: serve feeder", "privileged: true\n    command: serve feeder"))
