from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from codeface_lsp.errors import OutOfMemory
from codeface_lsp.inference.types import Delta, GenerationRequest, Usage
from codeface_lsp.serving.metrics import Metrics
from codeface_lsp.serving.mock import mock_model

REQUEST = GenerationRequest(prompt=list(b"secret prompt"), max_tokens=8)
USAGE = Usage(prompt_tokens=13, cached_tokens=10, completion_tokens=2, queue_s=0.25)


def read(metrics: Metrics) -> dict[str, float]:
    """Samples by name, the labels `model` and `route` left out."""
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            rest = {k: v for k, v in sample.labels.items() if k not in ("model", "route")}
            name = sample.name + ("{" + ",".join(f"{k}={v}" for k, v in rest.items()) + "}" if rest else "")
            found[name] = sample.value
    return found


async def generation(error: Exception | None = None) -> AsyncGenerator[Delta]:
    yield Delta(text="secret answer")
    if error is not None:
        raise error
    yield Delta(finish_reason="eos", usage=USAGE)


def measured(
    metrics: Metrics, error: Exception | None = None, *, log_request: bool = False
) -> AsyncGenerator[Delta]:
    return metrics.measured(
        generation(error), model=mock_model(), route="chat", request=REQUEST, log_request=log_request
    )


async def test_a_generation_is_counted_under_its_model_and_route() -> None:
    metrics = Metrics()
    assert [d.text async for d in measured(metrics)] == ["secret answer", ""]
    found = read(metrics)
    assert found["model_generation_seconds_count"] == 1
    assert found["time_to_first_token_seconds_count"] == 1
    assert found["queue_wait_seconds_sum"] == 0.25
    assert found["generated_tokens_total"] == 2
    assert found["prompt_tokens_total"] == 13
    assert found["cached_prompt_tokens_total"] == 10
    assert found["generations_total{finish=eos}"] == 1
    assert found["running_generations"] == 0
    assert b'generated_tokens_total{model="mock",route="chat"} 2.0' in metrics.render()


async def test_a_client_that_goes_away_is_counted_as_cancelled() -> None:
    metrics = Metrics()
    answer = measured(metrics)
    await anext(answer)
    assert read(metrics)["running_generations"] == 1
    await answer.aclose()
    found = read(metrics)
    assert found["cancelled_generations_total"] == 1
    assert found["running_generations"] == 0
    assert "model_errors_total" not in " ".join(found)


@pytest.mark.parametrize(
    ("error", "kind"), [(OutOfMemory("full"), "out_of_memory"), (KeyError("x"), "KeyError")]
)
async def test_an_error_is_counted_by_its_kind_and_passed_on(error: Exception, kind: str) -> None:
    metrics = Metrics()
    with pytest.raises(type(error)):
        async for _ in measured(metrics, error):
            pass
    assert read(metrics)[f"model_errors_total{{error_type={kind}}}"] == 1


async def test_the_request_log_has_lengths_and_times_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "codeface_lsp.requests"):
        async for _ in measured(Metrics(), log_request=True):
            pass
        async for _ in measured(Metrics()):
            pass
    (record,) = [json.loads(r.getMessage()) for r in caplog.records]
    assert record["model"] == "mock"
    assert record["prompt_tokens"] == 13
    assert record["completion_tokens"] == 2
    assert record["finish"] == "eos"
    assert record["seconds"] >= record["first_token_s"] >= 0
    assert "secret" not in caplog.text


def test_the_memory_of_the_models_is_read_when_scraped() -> None:
    models = []
    metrics = Metrics(lambda: models)
    assert b"model_memory_bytes{" not in metrics.render()
    model = mock_model()
    model.memory_bytes = 1234
    models.append(model)
    assert b'model_memory_bytes{device="mock",model="mock"} 1234.0' in metrics.render()
    assert read(metrics)["process_resident_memory_bytes"] > 1_000_000


def test_two_engines_in_one_process_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.failed("gated")
    assert b"gated" in one.render() and b"gated" not in other.render()
