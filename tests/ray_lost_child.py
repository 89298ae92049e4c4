"""A process whose cluster ends while its texts are embedded there; it prints what it is told."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import ray.cloudpickle
from ray.cluster_utils import Cluster

import ray_held
from ds2fast.engines import open_engine
from ds2fast.engines.ray import model, presence
from ds2fast.engines.ray.workers import tokenise
from ds2fast.errors import InputError
from waiting import wait_until


def main(folder: Path, encoder: Path) -> None:
    """Embed texts on a cluster that ends when the first task has begun."""
    ray.cloudpickle.register_pickle_by_value(ray_held)
    model.LEAST_TEXTS = 0
    model.__dict__["tokenise"] = ray_held.held(folder, tokenise)
    presence.LONGEST_LOST = 0.5
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)

    def stop() -> None:
        wait_until(lambda: ray_held.begun(folder))
        cluster.head_node.kill_gcs_server()
        cluster.head_node.kill_raylet()

    threading.Thread(target=stop, daemon=True).start()
    with open_engine("ray", cluster.address) as engine:
        try:
            engine.embed(["a frog"], model=encoder, cache_dir=False, threads=1, progress=False)
        except InputError as error:
            print(error, flush=True)
        cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        os._exit(0)  # to leave a cluster that is gone takes Ray five seconds


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
