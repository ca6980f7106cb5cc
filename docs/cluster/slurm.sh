#!/bin/bash
# A scalesearch command on all nodes of a Slurm allocation, through a Ray cluster that lives as long as the job:
#
#   sbatch docs/cluster/slurm.sh run --base my_net:build --data folder:/shared/photos --budget 4x
#   sbatch docs/cluster/slurm.sh resume my_study
#
# A job that was killed or ran into its time limit is submitted again as it was: nothing finished is lost or repeated.
# Change the lines below for your machines; the folder of submission, its studies and SCALESEARCH_CACHE must be shared.

#SBATCH --job-name=scalesearch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --exclusive
#SBATCH --time=24:00:00

set -euo pipefail

if [[ -z "${SLURM_JOB_ID:-}" || $# -eq 0 ]]; then
    echo "usage: sbatch $0 COMMAND [OPTIONS], such as: sbatch $0 run --budget 4x" >&2
    exit 2
fi

# One token for this job alone: who reaches a Ray cluster without one can run anything on it.
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_worker_niceness=0
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT="${RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT:-300}"

# The head's address as a number: on some systems a node's own name means 127.0.1.1 there, which no other node reaches.
nodes="$SLURM_JOB_NUM_NODES"
hosts=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
ip=$(srun --nodes=1 --ntasks=1 --nodelist="${hosts[0]}" hostname -I | cut -d ' ' -f 1)
address="$ip:$((20000 + SLURM_JOB_ID % 20000))"

# srun is told the cores again: it takes them from no --cpus-per-task of the job.
srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    ray symmetric-run --address "$address" --min-nodes "$nodes" \
    --num-cpus "${SLURM_CPUS_PER_TASK:-1}" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" \
    -- scalesearch "$@" --executor ray --address "$address"
