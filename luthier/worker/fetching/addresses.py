"""Which addresses are public, by a table of our own, and what a name resolves to. Next: `fetcher`, which connects.

Sources: IANA IPv4 and IPv6 special-purpose address registries; RFC 6052 and 8215 (NAT64), 3056 (6to4), 4380 (Teredo),
5214 (ISATAP). `ipaddress.is_global` is not asked: what it says has changed between versions of Python.
"""

import ipaddress
import queue
import socket
import threading
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from luthier.errors import NoAddress, shown

_NOT_PUBLIC_4 = {
    "this network": ("0.0.0.0/8",),
    "a private network": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    "carrier-grade NAT": ("100.64.0.0/10",),
    "this machine": ("127.0.0.0/8",),
    "a link-local address": ("169.254.0.0/16",),
    "set aside for protocols": ("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),
    "a relay of 6to4": ("192.88.99.0/24",),
    "set aside for documentation": ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    "set aside for benchmarks": ("198.18.0.0/15",),
    "a service of the hosting machine": ("168.63.129.16/32",),
    "a multicast address": ("224.0.0.0/4",),
    "a reserved address": ("240.0.0.0/4",),
}
_NOT_PUBLIC_6 = {  # within 2000::/3, outside which nothing is public
    "set aside for protocols": ("2001::/23", "2620:4f:8000::/48"),  # with Teredo, ORCHID, benchmarks, AMT, AS112
    "set aside for documentation": ("2001:db8::/32", "3fff::/20"),
    "a 6to4 address": ("2002::/16",),
}
_TABLE_4 = [(IPv4Network(net), why) for why, nets in _NOT_PUBLIC_4.items() for net in nets]
_TABLE_6 = [(IPv6Network(net), why) for why, nets in _NOT_PUBLIC_6.items() for net in nets]
_PUBLIC_6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of an interface id; the lower is an IPv4 address


def why_not_public(text: str) -> str:
    """ "" for an address that may be connected to, else what it is. Takes what `socket.getaddrinfo` gives."""
    if "%" in text:
        return "an address of one link"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "no address"
    return _why_4(address) if isinstance(address, IPv4Address) else _why_6(address)


def _why_4(address: IPv4Address) -> str:
    return next((why for network, why in _TABLE_4 if address in network), "")


def _why_6(address: IPv6Address) -> str:
    """An address that stands for an IPv4 address is what that one is."""
    if address.ipv4_mapped:
        return _why_4(address.ipv4_mapped)
    if address in _NAT64:
        return _why_4(IPv4Address(int(address) & 0xFFFFFFFF))
    if address not in _PUBLIC_6:
        return "no public address"
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "an ISATAP address"
    return next((why for network, why in _TABLE_6 if address in network), "")


def in_numbers(host: str) -> str:
    """The address that a host is by itself, without asking anybody; "" for a name.

    127.1, 0x7f.1 and 2130706433 are addresses as well: any resolver takes them for such, so nobody is asked about them.
    """
    try:
        return str(ipaddress.IPv6Address(host)) if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return ""


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Every address of a name, in the system's order of preference; raises NoAddress, also when it takes too long."""
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(host, port, answers), name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, seconds))
    except queue.Empty as error:
        raise NoAddress(f"the name {shown(host)!r} was not resolved within {seconds:.0f} s") from error
    if isinstance(answer, list):
        return answer
    raise NoAddress(f"the name {shown(host)!r} has no address: {answer}") from answer


def _ask(host: str, port: int, answers: "queue.SimpleQueue[list[str] | OSError | UnicodeError]") -> None:
    """The system's resolver takes no time limit, hence the thread; it gives up by itself after some seconds."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
    except (OSError, UnicodeError) as error:
        answers.put(error)
