"""Pods that the API server does not let in: quota, limit range, Pod Security, and what admission else refuses."""

import re
from decimal import Decimal
from typing import Final

from mlrepro.execution.pods.trouble import Patience, Trouble
from mlrepro.quantities import amount

_BEFORE: Final = re.compile(
    r'^(?:\(combined from similar events\): )?(?:Error creating: )?(?:\S+ "[^"]*" is forbidden: )?'
)
_QUOTA: Final = re.compile(r"exceeded quota: (\S+), requested: (\S+), used: (\S+), limited: (\S+)")
_UNSAID: Final = re.compile(r"failed quota: (\S+): must specify (.+)")
_MOST: Final = re.compile(
    r"maximum (\S+) usage per (\w+) is ([^\s,]+), but (?:limit is ([^\s,\]]+)|no limit is specified)"
)
_LEAST: Final = re.compile(
    r"minimum (\S+) usage per (\w+) is ([^\s,]+), but (?:request is ([^\s,\]]+)|no request is specified)"
)
_RATIO: Final = re.compile(
    r"(\S+) max limit to request ratio per (\w+) is ([^\s,]+), but provided ratio is ([^\s,\]]+)"
)
_SECURITY: Final = re.compile(r'violates PodSecurity "([^"]+)": (.+)', re.DOTALL)
_ACCOUNT: Final = re.compile(r"error looking up service account ([^/\s]+)/([^:\s]+):")
_PRIORITY: Final = re.compile(r"no PriorityClass with name (\S+) was found")
_DENIED: Final = re.compile(r'admission webhook "([^"]+)" denied the request:? ?(.*)', re.DOTALL)
_INVALID: Final = re.compile(r'\S+ "[^"]*" is invalid: (.+)', re.DOTALL)


def refusal(message: str) -> Trouble:
    """What a refusal of the API server means.

    Args:
        message: Of a ``FailedCreate`` event, or of the API's own answer.

    Example:
        >>> print(refusal(
        ...     'Error creating: pods "a-x7" is forbidden: exceeded quota: quota, requested: limits.memory=6Gi,'
        ...     " used: limits.memory=4Gi, limited: limits.memory=8Gi"
        ... ).sentence)
        pod asks for 6Gi memory, the namespace's quota 'quota' allows 8Gi, of which 4Gi are in use
    """
    for read in (_quota, _unsaid, _limit_range, _rest):
        if told := read(message):
            return told
    return Trouble("FailedCreate", f"Kubernetes refuses the pod: {_BEFORE.sub('', message)}", Patience.LONG)


def _quota(message: str) -> Trouble | None:
    found = _QUOTA.search(message)
    if not found:
        return None
    requested, used, limited = (_amounts(text) for text in found.groups()[1:])
    never = [name for name in requested if _more(requested[name], limited.get(name))]
    parts: dict[str, None] = {}
    for name in never or requested:  # the others would pass, once somebody ends
        asked, limit, taken = _asked(name, requested[name]), limited.get(name, "nothing"), used.get(name, "0")
        told = " in all" if never else f", of which {taken} {'is' if taken == '1' else 'are'} in use"
        parts[f"{asked}, the namespace's quota {found[1]!r} allows {limit}{told}"] = None
    patience = Patience.NEVER if never else Patience.LONG
    return Trouble("ExceededQuota", f"pod asks for {'; and for '.join(parts)}", patience)


def _amounts(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def _more(asked: str, limit: str | None) -> bool:
    try:
        return limit is not None and amount(asked) > amount(limit)
    except ValueError:
        return False


def _asked(name: str, asked: str) -> str:
    kind = name.removeprefix("requests.").removeprefix("limits.")
    return "a place" if kind in ("pods", "count/pods") else f"{asked} {kind}"


def _unsaid(message: str) -> Trouble | None:
    found = _UNSAID.search(message)
    if not found:
        return None
    names = filter(None, dict.fromkeys(part.split(" for:")[0].strip() for part in re.split(r"[;,]", found[2])))
    told = (
        f"pod does not say its {', '.join(names)}, and the namespace's quota {found[1]!r} wants"
        " it of every pod: give the asset resources=, or the namespace a LimitRange with defaults"
    )
    return Trouble("QuotaUnspecified", told, Patience.NEVER)


def _limit_range(message: str) -> Trouble | None:
    """Kubernetes tells all that is too much or too little at once."""
    whose = "the namespace's limit range"
    told = [
        *(
            f"{_who(found[2])} may use {found[4] or 'any amount of'} {found[1]}, {whose} allows {found[3]}"
            for found in _MOST.finditer(message)
        ),
        *(
            f"{_who(found[2])} asks for {found[4] or 'no'} {found[1]}, {whose} wants {found[3]} at least"
            for found in _LEAST.finditer(message)
        ),
        *(
            f"{_who(found[2])} may use {_short(found[4])} times the {found[1]} that it asks for, {whose} allows"
            f" {_short(found[3])} times"
            for found in _RATIO.finditer(message)
        ),
    ]
    return Trouble("LimitRange", "; and ".join(told), Patience.NEVER) if told else None


def _who(kind: str) -> str:
    return "pod" if kind == "Pod" else "container"


def _short(number: str) -> str:
    try:
        return f"{Decimal(number).normalize():f}"
    except ArithmeticError:
        return number


def _rest(message: str) -> Trouble | None:
    for pattern, reason, told, patience in _KNOWN:
        if found := pattern.search(message):
            return Trouble(reason, told.format(*(text.strip() for text in found.groups())), patience)
    return None


_KNOWN: Final = (
    (
        _SECURITY,
        "PodSecurity",
        "pod breaks the namespace's Pod Security standard '{0}': {1}",
        Patience.NEVER,
    ),
    (
        _ACCOUNT,
        "ServiceAccountMissing",
        "service account '{1}' is not in the namespace '{0}'",
        Patience.SHORT,
    ),
    (_PRIORITY, "PriorityClassMissing", "the cluster has no priority class '{0}'", Patience.SHORT),
    (_DENIED, "AdmissionDenied", "the cluster's admission policy '{0}' denies the pod: {1}", Patience.NEVER),
    (_INVALID, "Invalid", "Kubernetes takes the pod for invalid: {0}", Patience.NEVER),
)
