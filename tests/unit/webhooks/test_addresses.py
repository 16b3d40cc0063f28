"""Which addresses a webhook may reach: those of the public Internet, in whatever form they are written."""

from ipaddress import ip_address

import pytest

from services.webhooks.addresses import fault_of_url, is_globally_reachable

SPECIAL = """0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.0.1
    169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1 192.168.0.1
    198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254 ::127.0.0.1 ::10.1.2.3 ::ffff:0:127.0.0.1
    64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8 2002:7f00:1:: 2002:a00:1::1 2002:c0a8:1::1 100::1 2001::1
    2001:0:808:808:: 2001:2::1 2001:10::1 2001:db8::1 3fff::1 5f00::1 fc00::1 fd00::1 fe80::1 febf::1 fec0::1 ff00::1
    ff02::1 4000::1 1::1""".split()
PUBLIC = """1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.0.9
    192.0.0.10 192.0.1.0 192.31.196.1 192.52.193.1 192.175.48.1 198.17.255.255 198.20.0.0 223.255.255.255
    2606:4700:4700::1111 2001:4860:4860::8888 2001:200::1 2001:1::1 2001:3::1 2001:4:112::1 2001:20::1 2620:4f:8000::1
    ::ffff:8.8.8.8 ::8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1""".split()


@pytest.mark.parametrize("address", SPECIAL)
def test_a_special_address_is_not_reached(address: str) -> None:
    assert not is_globally_reachable(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached(address: str) -> None:
    assert is_globally_reachable(ip_address(address))


@pytest.mark.parametrize("special", [each for each in SPECIAL if ":" not in each])
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_itself(special: str) -> None:
    number = int(ip_address(special))
    for outer in (number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert not is_globally_reachable(ip_address(outer.to_bytes(16, "big")))


HOSTS = """localhost LOCALHOST localhost. a.localhost 127.0.0.1 127.0.0.1. 127.1 127.0.1 2130706433 017700000001
    0x7f000001 0x7f.1 0177.0.0.1 0 0x0 10.1 [::1] [::] [::ffff:127.0.0.1] [0:0:0:0:0:ffff:7f00:1] [64:ff9b::7f00:1]
    [2002:7f00:1::] [fe80::1] [fd00::1]""".split()


@pytest.mark.parametrize("host", HOSTS)
def test_a_literal_is_refused_in_whatever_form(host: str) -> None:
    for url in (f"http://{host}/", f"https://{host}:8443/hooks?x=1"):
        assert fault_of_url(url, allow_private=False) is not None
        assert fault_of_url(url, allow_private=True) is None


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://hooks.example.com:8080/a?b=c", "https://[2606:4700::1]/"]
)
def test_an_address_of_the_internet_is_taken(url: str) -> None:
    assert fault_of_url(url, allow_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "//example.com/",
        "https:example.com",
        "https://",
        "https://:443/",
        "https://a@example.com/",
        "https://a:b@example.com/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:x/",
        "https://example.com/#a",
        "https://example.com\\@127.0.0.1/",
        "https://127.0.0.%31/",
        "https://exämple.com/",
        "https://example.com/\n",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://a..b/",
        "https://-a.example/",
        "https://example.com/" + "x" * 2_000,
    ],
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    assert fault_of_url(url, allow_private=True) is not None
