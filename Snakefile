# Trains an AlphaZero agent at the speed of this machine, and measures how fast that is.
#
#     snakemake train           build_extension ─┐
#                               detect_hardware ─┤
#                               resolve_config ──┴─► train_game ─► evaluate_agent ─► write_report
#     snakemake benchmark_all   build_extension ─┐
#                               detect_hardware ─┴─► measure_phases ─► tabulate_benchmark
#     snakemake benchmark_<phase>     the same for one file in workflow/phases/, with what it is compared with
#     snakemake ratings         train_game ─► rate_checkpoints: checkpoints and anchors in one list
#     snakemake strength        train_game ─► measure_strength: how long until 5, 2, 1 and 0.5 % errors
#     snakemake quality         build_extension ─┐
#                               detect_hardware ─┴─► compare_quality ─► tabulate_quality      (docs/quality.md)
#     snakemake benchmark_nodes       each hardware profile on a node of its own (workflow/profiles/slurm)
#     snakemake autotune              build_extension, detect_hardware ─► autotune: this machine's own profile
#     snakemake benchmark_compare     every machine's measurements under results/, side by side
#
# Options: --config profile=high game=connect_four seed=1 quick=true (workflow/config/config.yaml lists all).
# What is decided here is decided while parsing (workflow/rules/common.smk): the machine's name, the hardware
# profile, the run's folder under results/. What makes which result stale: alphazero/workflow.py. Each rule calls the `alphazero` command; the logic lies there.

from snakemake.utils import min_version

min_version("9.20")


configfile: "workflow/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/build.smk"
include: "workflow/rules/hardware.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/strength.smk"


# On a cluster these run where snakemake was typed: what they make is named after that machine, or takes seconds.
localrules:
    detect_hardware,
    record_build,
    resolve_config,
    tabulate_benchmark,
    compare_nodes,
    benchmark_compare,
    write_report,


rule all:
    default_target: True
    input:
        rules.train.input,


onsuccess:
    print_summary()
