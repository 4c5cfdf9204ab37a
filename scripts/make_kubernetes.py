"""Writes kubernetes.yaml from docker-compose.yml: the same services, options, limits and confinement.

    python -m scripts.make_kubernetes [/scenarios/own-feeder.toml]

The argument is a scenario as containers see it; without it the manifests play the default day, as those in
the repository do. Services of a profile are left out. A key of the composition that this neither writes nor
knows to leave out is an error, so that the two cannot drift apart.
"""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "kubernetes.yaml"
COMPOSITION = ROOT / "docker-compose.yml"
OPTIONS = "sharegrid-options"
# Kubernetes does these by itself or on its nodes: order of starts by restarts, number of processes by
# podPidsLimit of the kubelet, rotation of logs by containerLogMaxSize.
LEFT_TO_CLUSTER = {"build", "depends_on", "init", "logging", "pids_limit", "profiles"}
WRITTEN = {
    "cap_drop",
    "command",
    "environment",
    "healthcheck",
    "image",
    "mem_limit",
    "network_mode",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
    "tmpfs",
    "user",
    "volumes",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_CLAIMS = {"SECURITY": "security", "RUNS": "runs"}
_FIXED = {"VERSION", "COMMIT", "MOSQUITTO_IMAGE", "PYTHON_IMAGE", "RUN_AS", "SCENARIO", *_CLAIMS}
_HEADER = """# Made from docker-compose.yml by `python -m scripts.make_kubernetes`; change that file instead.
#
#   kubectl create configmap sharegrid-scenarios --from-file scenarios/
#   kubectl apply -f kubernetes.yaml
#
# Images have to be where the cluster finds them. docs/deployment.md says what else.
"""


def options_of(text: str) -> dict[str, str]:
    """Options of a run that the composition takes from the environment, with their defaults."""
    found = {name: default or "" for name, default in _VARIABLE.findall(text) if name not in _FIXED}
    return dict(sorted(found.items()))


def _default(text: str) -> str:
    return _VARIABLE.sub(lambda match: match[2] or "", text)


def _words(command: str | list[str], scenario: str) -> list[str]:
    """Arguments of a container; an option of a run is filled in by Kubernetes."""
    words = shlex.split(command) if isinstance(command, str) else command
    known = [scenario if _is_scenario(word) else word for word in words]
    return [_VARIABLE.sub(lambda match: f"$({match[1]})", word) for word in known if word]


def _is_scenario(word: str) -> bool:
    match = _VARIABLE.fullmatch(word)
    return match is not None and match[1] == "SCENARIO"


def _variables(name: str, value: object) -> dict[str, Any]:
    match = _VARIABLE.fullmatch(str(value))
    if match is None:
        return {"name": name, "value": str(value)}
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": OPTIONS, "key": match[1]}}}


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def _memory(text: str) -> str:
    return f"{text[:-1]}{text[-1].upper()}i"


def _mounts(service: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Where volumes are mounted, and what they are."""
    mounts, volumes = [], {}
    for number, line in enumerate(service.get("tmpfs", [])):
        place, _, settings = line.partition(":")
        size = dict(each.split("=") for each in settings.split(","))["size"]
        name = f"scratch-{number}"
        mounts.append({"name": name, "mountPath": place})
        volumes[name] = {"emptyDir": {"medium": "Memory", "sizeLimit": _memory(size)}}
    for line in service.get("volumes", []):
        match = _VARIABLE.match(line)
        source = match[0] if match else line.split(":")[0]
        inside, place, *mode = line.removeprefix(source).split(":")
        if match:
            name = _CLAIMS[match[1]]
            volumes[name] = {"persistentVolumeClaim": {"claimName": f"sharegrid-{name}"}}
        else:
            name = Path(source).name
            volumes[name] = {"configMap": {"name": f"sharegrid-{name}", "optional": True}}
        mount = {"name": name, "mountPath": place, "readOnly": mode == ["ro"]}
        mounts.append(mount | ({"subPath": inside.strip("/")} if inside else {}))
    return mounts, [{"name": name, **volume} for name, volume in volumes.items()]


def _probe(check: dict[str, Any]) -> dict[str, Any]:
    words = check["test"]
    if words[0] != "CMD":
        raise SystemExit(f"a health check has to be a list that begins with CMD: {words}")
    return {
        "exec": {"command": words[1:]},
        "periodSeconds": _seconds(check["interval"]),
        "timeoutSeconds": _seconds(check["timeout"]),
        "failureThreshold": check["retries"],
    }


def _pod(name: str, service: dict[str, Any], restart: str, scenario: str) -> dict[str, Any]:
    if unknown := service.keys() - WRITTEN - LEFT_TO_CLUSTER:
        raise SystemExit(f"{COMPOSITION.name}: {name}: say what becomes of {', '.join(sorted(unknown))}")
    user, group = (int(number) for number in _default(service["user"]).split(":"))
    mounts, volumes = _mounts(service)
    memory = _memory(service["mem_limit"])
    container = {
        "name": name,
        "image": _default(service["image"]),
        "args": _words(service["command"], scenario),
        "env": [_variables(*each) for each in service.get("environment", {}).items()],
        "envFrom": [{"configMapRef": {"name": OPTIONS}}],
        "resources": {"limits": {"memory": memory}, "requests": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": "no-new-privileges:true" not in service["security_opt"],
            "capabilities": {"drop": service["cap_drop"]},
            "readOnlyRootFilesystem": service["read_only"],
        },
        "volumeMounts": mounts,
    }
    if "healthcheck" in service:
        container["readinessProbe"] = _probe(service["healthcheck"])
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": restart,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": group,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": _seconds(service.get("stop_grace_period", "30s")),
        "containers": [container],
        "volumes": volumes,
    }


def _meta(name: str) -> dict[str, Any]:
    return {
        "name": f"sharegrid-{name}",
        "labels": {"app.kubernetes.io/part-of": "sharegrid", "app.kubernetes.io/component": name},
    }


def _workload(name: str, service: dict[str, Any], scenario: str) -> dict[str, Any]:
    """A job where a service ends by itself, else a deployment of one pod."""
    meta = _meta(name)
    template = {"metadata": {"labels": meta["labels"]}}
    if service.get("restart", "no") == "no":
        template["spec"] = _pod(name, service, "Never", scenario)
        spec: dict[str, Any] = {"backoffLimit": 0, "template": template}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}
    template["spec"] = _pod(name, service, "Always", scenario)
    spec = {
        "replicas": 1,
        # Two of one role at a time would be one too many.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": meta["labels"]},
        "template": template,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def _policy(name: str, labels: dict[str, str], peers: list[dict[str, Any]]) -> dict[str, Any]:
    rules = [{"podSelector": peer} for peer in peers]
    dns = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(name),
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": rules}] if rules else [],
            "egress": [{"to": rules}, dns] if rules else [],
        },
    }


def manifests(text: str, scenario: str = "") -> list[dict[str, Any]]:
    """All objects of the composition whose YAML is ``text``, for a scenario as containers see it."""
    services = {
        name: service
        for name, service in yaml.safe_load(text)["services"].items()
        if "profiles" not in service
    }
    ours = {"app.kubernetes.io/part-of": "sharegrid"}
    (port,) = set(re.findall(r"mqtts://broker:(\d+)", text))
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": OPTIONS}, "data": options_of(text)},
        *(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": _meta(name),
                "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
            }
            for name in _CLAIMS.values()
        ),
        {
            "apiVersion": "v1",
            "kind": "Service",
            # The name that stands in the broker's certificate and in its address.
            "metadata": {**_meta("broker"), "name": "broker"},
            "spec": {
                "selector": _meta("broker")["labels"],
                "ports": [{"name": "mqtts", "port": int(port)}],
            },
        },
        _policy("inside", ours, [{"matchLabels": ours}]),
        *(_workload(name, service, scenario) for name, service in services.items()),
    ]


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: anchors are hard to read."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def text_of(composition: str, scenario: str = "") -> str:
    """Text of the file."""
    return _HEADER + yaml.dump_all(
        manifests(composition, scenario), Dumper=_Plain, sort_keys=False, width=110
    )


if __name__ == "__main__":
    TARGET.write_text(text_of(COMPOSITION.read_text(), *sys.argv[1:2]))
