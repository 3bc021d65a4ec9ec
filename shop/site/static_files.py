"""Static files as `collectstatic` lays them out: named after their contents, and compressed."""

from whitenoise.storage import CompressedManifestStaticFilesStorage

_IMPORT = (r"""(?P<matched>from "(?P<url>\./[^"]+\.js)")""", 'from "%(url)s"')


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """The shop's JavaScript modules name each other by their hashed names too, so that no page mixes two releases.

    Django could do it for every script, but looks into those of others, where not all that reads like an import is one.
    """

    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("shop/js/*.js", (_IMPORT,)))
