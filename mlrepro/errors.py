"""Errors that mlrepro raises, each with the next step in its message."""


class MlreproError(Exception):
    """Base of every error that mlrepro raises on purpose."""


class MissingExtraError(MlreproError, ImportError):
    """A feature was used whose optional dependency is not installed.

    Args:
        feature: What the user asked for, in their words ("storing a torch.Tensor").
        extra: The extra that brings the dependency ("torch").
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'mlrepro[{extra}]'")
        self.extra = extra


class FingerprintError(MlreproError):
    """Code could not be fingerprinted at all (not a function, class or module member)."""


class StoreError(MlreproError):
    """The store could not be opened, read or written."""


class UnknownFormatError(MlreproError):
    """A format was named that does not exist."""


class UnstorableValueError(MlreproError):
    """No format can store the value, or the format asked for cannot."""


class BlobMissingError(StoreError):
    """A blob that a record names is not in the store."""


class BlobDamagedError(StoreError):
    """A blob's bytes do not match the hash that is its name."""


class UntrustedPickleError(StoreError):
    """A pickle for which nobody who is trusted vouches. It was not loaded."""


class NoRightError(StoreError):
    """The place refuses: these credentials, or this user, may not do that there."""


class UnknownVersionError(MlreproError):
    """A version, or the asset itself, has no entry in the store's history."""


class AssetDefinitionError(MlreproError):
    """An asset was declared in a way that cannot work."""


class NondeterminismError(MlreproError):
    """``mlrepro verify`` found that computing again gave other bytes."""


class FollowWarning(UserWarning):
    """Code that the fingerprint could follow only in part, or only as it is at this moment."""


class CacheWarning(UserWarning):
    """Something in the store is not as it should be; the step computes."""


class VersionNameError(MlreproError):
    """A text such as ``asset@v3`` could not be read."""


class NothingToVerifyError(MlreproError):
    """`mlrepro verify` found no result under the present code, config and inputs."""


class ChannelError(MlreproError):
    """A channel, or a pin, can't be moved as asked. It stays as it was."""


class NothingToRollBackToError(ChannelError):
    """There is no earlier version that a channel or an asset could go back to."""


class QuarantinedError(ChannelError):
    """A version was rolled back from, and is not promoted again until someone releases it."""


class ChannelMovedError(ChannelError):
    """Somebody moved the channel since a decision about it was made."""


class ConditionError(MlreproError):
    """A condition of a gate or of a rollback sensor was written in a way that cannot be judged."""


class NoticeError(MlreproError):
    """A notice of a rollback sensor can't be given: the URL of a webhook is missing, or is none."""


class RetentionError(MlreproError):
    """What garbage collection is to keep was said in a way that can't be."""


class TenantsError(MlreproError):
    """``tenants.yaml`` can't be read, or what it says can't be."""


class AuditError(MlreproError):
    """The audit log can't be written or read. Nothing is changed without it."""


class WebserverError(MlreproError):
    """The webserver can't start as asked."""


class NotAuthenticatedError(MlreproError):
    """Credentials were given, and they are bad. The message says why, and holds nothing of them."""


class IdentityUnavailableError(MlreproError):
    """Whether credentials are good can't be said now: what they are checked with is away."""


class TokensError(MlreproError):
    """The file of API tokens can't be read or written, or has not what was asked for."""


class ForeignRequestError(MlreproError):
    """A request that could have been sent by another site in a user's browser."""


class RunRefusedError(MlreproError):
    """A run may not be launched by whoever asks for it, or asks for what its tenant may not have.

    It ends as failed, and nothing of it was executed.
    """


class BundleError(MlreproError):
    """A source tree can't be packed as it is, or a code bundle can't be used."""


class HostileBundleError(BundleError):
    """A code bundle that mlrepro did not make: it names something outside itself, or more than it may hold."""


class NotHereError(MlreproError):
    """A page, or what it is about, that is not there for who asks."""


class FormError(MlreproError):
    """A form was sent in a way that nothing was done."""


class NotAllowedError(MlreproError):
    """Who asks may see it, and may not change it."""


class SharedAssetError(MlreproError):
    """An asset of another team can't be computed here, and why."""
