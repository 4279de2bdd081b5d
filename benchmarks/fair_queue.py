"""What another team's long queue costs: team A queues 200 runs, team B five; how long do B's wait?

Dagster's daemon as a process, PostgreSQL, and a run launcher whose runs take a given time, so that only the queue is
measured. B's wait alone, beside A's runs, and beside them with Dagster's own QueuedRunCoordinator; then what it costs
to submit a run, and to share out the places, when 1,000 runs are queued.

Usage: python -m benchmarks.fair_queue [--a 200] [--b 5] [--places 8] [--seconds 2] [--queued 1000]
"""

import argparse
import statistics
import time

from mlrepro.tenancy.run_queue import queues_of
from tests.tenancy.fair_queue import queue_of, submit, submit_seconds, waits_of_b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--a", type=int, default=200)
    parser.add_argument("--b", type=int, default=5)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--queued", type=int, default=1000)
    given = parser.parse_args()
    waits(given)
    costs(given)


def waits(given: argparse.Namespace) -> None:
    same = {"b": given.b, "places": given.places, "run_seconds": given.seconds}
    found = {
        "alone": waits_of_b(a=0, fair=True, **same),
        f"beside {given.a} runs": waits_of_b(a=given.a, fair=True, **same),
        f"beside {given.a} runs, QueuedRunCoordinator": waits_of_b(a=given.a, fair=False, **same),
    }
    print(f"B's {given.b} runs of {given.seconds:g} s each, {given.places} places: seconds in the queue")
    alone = found["alone"]
    for name, each in found.items():
        ratio = each.mean / alone.mean
        print(f"  {name:45} mean {each.mean:6.2f}  longest {each.longest:6.2f}  {ratio:6.1f} times alone")


def costs(given: argparse.Namespace) -> None:
    for fair in (True, False):
        with queue_of(places=given.places, run_seconds=given.seconds, fair=fair) as firm:
            submit(firm, "a", 5)
            empty = submit_seconds(firm, 50)
            submit(firm, "a", given.queued)
            full = submit_seconds(firm, 50)
            name = "TenantRunCoordinator" if fair else "QueuedRunCoordinator"
            print(f"{name}: submitting a run {empty * 1e3:.1f} ms, with {given.queued} queued {full * 1e3:.1f} ms")
            if fair:
                took = []
                for _ in range(20):
                    begun = time.perf_counter()
                    queues_of(firm.instance, {}, given.places)
                    took.append(time.perf_counter() - begun)
                print(f"  sharing out, each second: {statistics.median(took) * 1e3:.1f} ms with {given.queued} queued")


if __name__ == "__main__":
    main()
