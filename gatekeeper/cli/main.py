"""The group of commands, and the boundary where errors become exit codes.

0 certified or verified · 1 refused by the policy · 2 usage, configuration or input · 3 inconclusive ·
4 signing or verification · 5 a bug · 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

import click

from gatekeeper.cli.approve import approve
from gatekeeper.cli.budget import budget
from gatekeeper.cli.candidates import candidate_group, init
from gatekeeper.cli.certify import certify
from gatekeeper.cli.check import check
from gatekeeper.cli.completion import completion
from gatekeeper.cli.data import data_group
from gatekeeper.cli.explain import explain
from gatekeeper.cli.frontier import frontier
from gatekeeper.cli.interrupts import interrupt_on_termination
from gatekeeper.cli.keys import keys_group
from gatekeeper.cli.ledger import ledger_group
from gatekeeper.cli.mlflow import mlflow_group
from gatekeeper.cli.policies import policy_group
from gatekeeper.cli.refuse import refuse
from gatekeeper.cli.runs import report, runs_group
from gatekeeper.cli.sign import sign
from gatekeeper.cli.streams import prepare_streams, say, settle_streams, show
from gatekeeper.cli.timestamp import timestamp_group
from gatekeeper.cli.trust import trust_group
from gatekeeper.cli.verify import verify
from gatekeeper.cli.waivers import waiver_group
from gatekeeper.cli.weights import weights_group
from gatekeeper.errors import GatekeeperError
from gatekeeper.version import __version__

EXIT_USAGE = 2
EXIT_BUG = 5
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gatekeeper")
def app() -> None:
    """Decide whether a model trained on sensitive images may be released.

    certify trains it with high-budget differential privacy, measures how well it does and how much of its
    images could be reconstructed, and writes signed ONNX only when every rule of the policy holds.

    Exit codes: 0 certified or verified, 1 refused by the policy, 2 usage, configuration or input invalid,
    3 inconclusive, 4 signing or verification failed, 5 a bug, 130 interrupted.
    """


for _command in (
    *(init, certify, sign, verify, approve, report, runs_group, policy_group, candidate_group, keys_group, budget),
    *(ledger_group, weights_group, frontier, explain, refuse, waiver_group, trust_group, timestamp_group),
    *(check, completion, data_group, mlflow_group),
):
    app.add_command(_command)


def boundary(action: Callable[[], object]) -> int:
    """Run `action` and turn whatever it raises into an exit code, with one message on stderr.

    Only a command's own `Exit` gives 1: it means "refused", and nothing that goes wrong may look like it.
    """
    try:
        # Outside its standalone mode click hands back the code of an `Exit` that a command raised.
        result = action()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        show(error)
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return EXIT_INTERRUPTED
    except GatekeeperError as error:
        say(f"error [{error.code}] {error}")
        return error.exit_code
    except BrokenPipeError:
        return EXIT_BUG
    except SystemExit as error:
        # click exits with 1 by itself where whoever read our output has gone.
        return 0 if error.code in (0, None) else EXIT_BUG
    except Exception:  # the one boundary: a bug must not exit with 1, which means "refused"
        say(f"{traceback.format_exc()}this is a bug in gatekeeper")
        return EXIT_BUG
    return result if isinstance(result, int) else 0


def main() -> None:
    """The `gatekeeper` command."""
    prepare_streams()
    interrupt_on_termination()
    code = boundary(lambda: app(standalone_mode=False))
    settle_streams()
    sys.exit(code)
