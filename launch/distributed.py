"""Several processes, on one machine or many. Their flags, and how they find each other.

Under Slurm, on TPU slices and under Open MPI `--distributed` is enough; elsewhere the other three flags say it all. On
GKE the manifest in launch/clusters/gke.yaml gives them.
"""

from absl import flags

from spotrust_jax.errors import InputError

_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Whether this is one of several processes of a cluster.")
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0, alike in all processes.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Number of processes.", lower_bound=1)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this process, from 0.", lower_bound=0)


def join() -> None:
    """Meets the other processes, before jax looks at the devices; nothing for a process on its own.

    Raises:
        InputError: where flags are missing, or the others cannot be found.
    """
    given = (_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    if not _DISTRIBUTED.value and given == (None, None, None):
        return
    if None in given and given != (None, None, None):
        raise InputError("several processes need all of --coordinator_address, --num_processes and --process_id")
    import jax

    try:
        jax.distributed.initialize(*given)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        remedy = "give --coordinator_address, --num_processes and --process_id, or leave --distributed out"
        raise InputError(f"the processes did not find each other ({reason}): {remedy}") from error
