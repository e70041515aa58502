"""Named formats of secrets: the format plug-ins of detect-secrets, and ours for what those miss.

Entropy and keyword plug-ins stay off: they flag most lines of ordinary code. Nothing is ever verified online.
"""

from __future__ import annotations

import re
from functools import lru_cache

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.cloudant import CloudantDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.softlayer import SoftlayerDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector


class ModelHubDetector(RegexBasedDetector):  # type: ignore[misc]
    """Tokens of hubs and servers of models."""

    secret_type = "Model API Key"
    denylist = (
        re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
        re.compile(r"\bsk-(?:ant-|proj-|svcacct-|admin-|or-v1-|lf-)?[A-Za-z0-9_\-]{20,}[A-Za-z0-9]"),
        re.compile(r"\bgsk_[A-Za-z0-9]{40,}"),
        re.compile(r"\br8_[A-Za-z0-9]{36,}"),
        re.compile(r"\bxai-[A-Za-z0-9]{60,}"),
        re.compile(r"\bpplx-[A-Za-z0-9]{40,}"),
        re.compile(r"\bnvapi-[A-Za-z0-9_\-]{50,}"),
    )


class GoogleDetector(RegexBasedDetector):  # type: ignore[misc]
    """Keys and tokens of Google."""

    secret_type = "Google API Key"
    denylist = (
        re.compile(r"\bAIza[A-Za-z0-9_\-]{35}"),
        re.compile(r"\bGOCSPX-[A-Za-z0-9_\-]{28}"),
        re.compile(r"\bya29\.[A-Za-z0-9_\-]{30,}"),
    )


class PlatformDetector(RegexBasedDetector):  # type: ignore[misc]
    """Tokens of code and cloud platforms."""

    secret_type = "Platform Token"
    denylist = (
        re.compile(r"\bgithub_pat_[A-Za-z0-9_]{60,}"),
        re.compile(r"\bnpm_[A-Za-z0-9]{36}"),
        re.compile(r"\bpypi-[A-Za-z0-9_\-]{70,}"),
        re.compile(r"\bdo[opr]_v1_[a-f0-9]{64}"),
        re.compile(r"\bdapi[a-f0-9]{32}"),
        re.compile(r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
        re.compile(r"\bhvs\.[A-Za-z0-9_\-]{24,}"),
        re.compile(r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}"),
        re.compile(r"\bATATT3[A-Za-z0-9_\-=]{100,}"),
        re.compile(r"\blin_api_[A-Za-z0-9]{40}"),
        re.compile(r"\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]+"),
        re.compile(r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{24,}"),
        re.compile(r"\bwhsec_[A-Za-z0-9+/=]{32,}"),
        re.compile(r"\bdckr_pat_[A-Za-z0-9_\-]{27}"),
        re.compile(r"\bglpat-[A-Za-z0-9_\-.]{20,}"),
    )


class AwsSecretDetector(RegexBasedDetector):  # type: ignore[misc]
    """The secret half of an AWS key, quoted or not."""

    secret_type = "AWS Secret Key"
    denylist = (
        re.compile(
            r"(?i)aws_?(?:secret|session)_?(?:access_?)?(?:key|token)\w*[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9/+=]{40,})"
        ),
    )


_DETECTORS = (
    ModelHubDetector,
    GoogleDetector,
    PlatformDetector,
    AwsSecretDetector,
    ArtifactoryDetector,
    AWSKeyDetector,
    AzureStorageKeyDetector,
    BasicAuthDetector,
    CloudantDetector,
    DiscordBotTokenDetector,
    GitHubTokenDetector,
    GitLabTokenDetector,
    IbmCloudIamDetector,
    IbmCosHmacDetector,
    JwtTokenDetector,
    MailchimpDetector,
    NpmDetector,
    OpenAIDetector,
    PypiTokenDetector,
    SendGridDetector,
    SlackDetector,
    SoftlayerDetector,
    SquareOAuthDetector,
    StripeDetector,
    TelegramBotTokenDetector,
    TwilioKeyDetector,
)


@lru_cache(maxsize=1)
def detectors() -> tuple[tuple[str, RegexBasedDetector], ...]:
    """`(NAME_FOR_PLACEHOLDERS, plug-in)` of every format."""
    return tuple((re.sub(r"\W+", "_", cls.secret_type).upper(), cls()) for cls in _DETECTORS)
