"""Folders of a secured broker: complete, for their owners alone, kept and renewed."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from broker.credentials import command_key, tls_context
from broker.errors import CredentialsError
from broker.security.certificates import Authority, expiry
from broker.security.files import Group, Plan, certificates_in, grants_text, write_files
from broker.security.grants import Grant

GRANTS = {"a": [Grant("readwrite", "x/a")], "b": [Grant("read", "x/#"), Grant("write", "y/b")]}
GROUPS = {"one": Group(["a", "b"], commands=True), "two": Group(["b"])}


def plan(**changes):
    given = {"grants": GRANTS, "groups": GROUPS, "hosts": ["127.0.0.1", "lab.example"], "port": 8883}
    return Plan(**given | changes)


@pytest.fixture
def out(tmp_path):
    write_files(tmp_path / "out", plan())
    return tmp_path / "out"


def test_all_that_is_written_is_its_owners_alone(out):
    for path in [out, *out.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {"mosquitto.conf", "grants.acl", "server.key"} <= {
        path.name for path in (out / "broker").iterdir()
    }
    assert "clients/one/command.key" in names
    assert "clients/two/command.key" not in names
    assert not any(name.startswith("clients") and "ca.key" in name for name in names)
    assert not any(name.startswith(".") or name.endswith(".new") for name in names)


def test_a_second_call_keeps_keys_and_adds_who_is_new(out):
    before = {path: path.read_bytes() for path in out.rglob("*.key")}
    grown = plan(groups={**GROUPS, "three": Group(["c"])}, grants={**GRANTS, "c": []})
    written = write_files(out, grown)
    assert [each.party for each in written if each.is_new] == ["c"]
    assert all(path.read_bytes() == body for path, body in before.items())
    assert "user c" in (out / "broker" / "grants.acl").read_text()


def test_renewed_certificates_are_of_the_same_authority(out):
    certificate = out / "clients" / "one" / "a.crt"
    before, authority = certificate.read_bytes(), (out / "authority" / "ca.crt").read_bytes()
    key = command_key(out / "clients" / "one")
    assert all(each.is_new for each in write_files(out, plan(days=10), renew=True))
    assert certificate.read_bytes() != before
    assert (out / "authority" / "ca.crt").read_bytes() == authority
    assert command_key(out / "clients" / "one") == key
    left = expiry(certificate.read_bytes()) - datetime.now(UTC)
    assert timedelta(days=9) < left < timedelta(days=11)
    first = certificates_in(out)[0]
    assert first.expires < certificates_in(out)[-1].expires


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CredentialsError, match="holds something else; choose another folder"):
        write_files(tmp_path, plan())
    with pytest.raises(CredentialsError, match="no certificates are here"):
        certificates_in(tmp_path)
    (tmp_path / "broken.crt").write_text("broken")
    with pytest.raises(CredentialsError, match=r"broken\.crt: it is no certificate"):
        certificates_in(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsError, match="choose a folder that can be written"):
        write_files(tmp_path / "file" / "out", plan())


def test_the_list_names_each_party_and_its_topics():
    assert grants_text(GRANTS) == ("user a\ntopic readwrite x/a\n\nuser b\ntopic read x/#\ntopic write y/b\n")


def test_a_name_too_long_for_a_certificate_is_one_line(tmp_path):
    with pytest.raises(CredentialsError, match="1 to 64 characters"):
        write_files(tmp_path / "out", plan(groups={"one": Group(["x" * 65])}))


def test_an_authority_that_is_none_is_one_line(out):
    good = (out / "authority" / "ca.crt").read_bytes()
    with pytest.raises(CredentialsError, match="cannot be read"):
        Authority(b"nonsense", b"nonsense")
    with pytest.raises(CredentialsError, match="key is not that of its certificate"):
        Authority(good, Authority.create().key)


def test_a_context_trusts_its_own_authority_alone(out):
    context = tls_context(out / "clients" / "one", "a")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert len(context.get_ca_certs()) == 1
    assert tls_context(None, None).check_hostname


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "a.crt").unlink(), r"has no certificate of a; `sharegrid broker files`"),
        (lambda folder: (folder / "a.key").chmod(0o640), "others may read it; chmod 600"),
        (lambda folder: (folder / "a.key").unlink(), "a.key: No such file"),
        (lambda folder: (folder / "ca.crt").unlink(), "ca.crt: No such file"),
        (lambda folder: (folder / "ca.crt").write_text("x"), "ca.crt: "),
        (lambda folder: (folder / "a.key").write_text("x"), "a.crt: "),
    ],
)
def test_credentials_that_cannot_be_used_are_one_line(out, spoil, reason):
    folder = out / "clients" / "one"
    spoil(folder)
    with pytest.raises(CredentialsError, match=reason) as caught:
        tls_context(folder, "a")
    assert "\n" not in str(caught.value)


def test_the_key_of_commands_is_looked_at_as_closely(out):
    file = out / "clients" / "one" / "command.key"
    assert command_key(None) is None
    assert command_key(out / "clients" / "two") is None
    file.write_text("xyz")
    with pytest.raises(CredentialsError, match="non-hexadecimal"):
        command_key(file.parent)
    file.write_text("00")
    with pytest.raises(CredentialsError, match="1 bytes where 32 belong"):
        command_key(file.parent)
    file.chmod(0o644)
    with pytest.raises(CredentialsError, match="others may read it"):
        command_key(file.parent)
