# What each optimization phase gives, measured with the code that training runs. A phase is a file in
# workflow/phases/. The windows, as they are measured, are no output on purpose: Snakemake deletes the outputs of a
# job that was stopped, and then the same command could not go on. Each window's name says what it depends on, so
# that an edited phase file measures its own rows again, with a baseline beside them, and nothing else.

PHASES = sorted(path.stem for path in (ROOT / "workflow/phases").glob("*.toml"))
NODE_BENCHMARK = benchmark_name()
BENCHMARK = f"{MACHINE}/{RUN.resolved.config.hardware_profile}/{NODE_BENCHMARK}"
UNTUNED = planning.before_tuning(RUN, MACHINE, HARDWARE)


wildcard_constraints:
    phase="|".join(map(re.escape, PHASES)),


rule benchmark_all:
    input:
        f"results/{BENCHMARK}/report.html",


rule measure_phases:
    input:
        extensions=EXTENSIONS,
        hardware=once_there(f"results/{MACHINE}/hardware.json"),
        phases=expand("workflow/phases/{phase}.toml", phase=PHASES),
    output:
        f"results/{BENCHMARK}/measurements.json",
    log:
        f"logs/{BENCHMARK}/measure_phases.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        options=measuring_options(RUN),
        windows=f"checkpoints/{BENCHMARK}/windows.jsonl",
        depends_on=planning.benchmark_hash(ROOT, RUN),
    shell:
        "python -u -m alphazero benchmark measure {params.options} --hardware {input.hardware:q}"
        " --windows {params.windows:q} --out {output:q} 2>&1 | tee -i {log:q}"


rule measure_phase:
    input:
        extensions=EXTENSIONS,
        hardware=once_there(f"results/{MACHINE}/hardware.json"),
        phases=expand("workflow/phases/{phase}.toml", phase=PHASES),
    output:
        f"results/{BENCHMARK}/phases/{{phase}}/measurements.json",
    log:
        f"logs/{BENCHMARK}/measure_phase/{{phase}}.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        options=measuring_options(RUN),
        windows=f"checkpoints/{BENCHMARK}/windows.jsonl",
        depends_on=planning.benchmark_hash(ROOT, RUN),
    shell:
        "python -u -m alphazero benchmark measure {params.options} --hardware {input.hardware:q}"
        " --only {wildcards.phase} --windows {params.windows:q} --out {output:q} 2>&1 | tee -i {log:q}"


rule tabulate_benchmark:
    input:
        "results/{benchmark}/measurements.json",
    output:
        page=report(
            "results/{benchmark}/report.html",
            caption="../report/benchmark.rst",
            category="Benchmark",
            labels={"benchmark": "{benchmark}"},
        ),
        parts=directory("results/{benchmark}/tables"),
    log:
        "logs/{benchmark}/tabulate_benchmark.log",
    wildcard_constraints:
        benchmark=f"{re.escape(BENCHMARK)}(/phases/[^/]+)?|nodes/[^/]+/{re.escape(NODE_BENCHMARK)}",
    conda:
        "../envs/native.yaml"
    params:
        quality=lambda wildcards: planning.tables_options(
            Path("results", planning.quality_beside(wildcards.benchmark))
        ),
        depends_on=planning.benchmark_tables_hash(ROOT),
    shell:
        "python -u -m alphazero benchmark tabulate {input:q} --out {output.page:q} --parts {output.parts:q}"
        " {params.quality[0]} 2>&1 | tee -i {log:q}"


for phase in PHASES:

    rule:
        name:
            f"benchmark_{phase}"
        input:
            f"results/{BENCHMARK}/phases/{phase}/report.html",


# The measurements are no input on purpose: what is there is compared, and a machine's that have become stale since
# are not measured again for it. Their contents count, as a parameter.
rule benchmark_compare:
    output:
        directory("results/machines"),
    log:
        "logs/benchmark_compare.log",
    conda:
        "../envs/native.yaml"
    params:
        measurements=machines_to_compare,
        depends_on=planning.benchmark_tables_hash(ROOT),
    shell:
        "python -u -m alphazero benchmark machines {params.measurements[0]} --parts {output:q} 2>&1 | tee -i {log:q}"


# The fastest settings of self-play on this machine. `--config profile=auto` takes them from then on; this rule
# begins with the shipped profile whatever was found before.
rule autotune:
    input:
        extensions=EXTENSIONS,
        hardware=once_there(f"results/{MACHINE}/hardware.json"),
    output:
        f"results/{MACHINE}/tuned{'_quick' if is_quick() else ''}.toml",
    log:
        f"logs/{MACHINE}/autotune.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        options=measuring_options(UNTUNED),
        depends_on=planning.tuning_hash(ROOT, UNTUNED),
    shell:
        "python -u -m alphazero autotune {params.options} --hardware {input.hardware:q} --out {output:q}"
        " 2>&1 | tee -i {log:q}"


# The benchmark of each hardware profile on a node of its own. The paths hold no machine: what the node is, it says
# itself, while the one command was typed on another (docs/benchmark.md, workflow/profiles/slurm).
NODE_PROFILES = [profile for profile in config_loading.profile_names() if profile != "cpu"]


rule benchmark_nodes:
    input:
        expand(f"results/nodes/{{profile}}/{NODE_BENCHMARK}/report.html", profile=NODE_PROFILES),
        f"results/nodes/{NODE_BENCHMARK}_machines",


for profile in NODE_PROFILES:

    rule:
        name:
            f"measure_node_{profile}"
        input:
            extensions=EXTENSIONS,
            profile=f"profiles/{profile}.toml",
            phases=expand("workflow/phases/{phase}.toml", phase=PHASES),
        output:
            f"results/nodes/{profile}/{NODE_BENCHMARK}/measurements.json",
        log:
            f"logs/nodes/{profile}/{NODE_BENCHMARK}/measure_phases.log",
        conda:
            "../envs/native.yaml"
        threads: workflow.cores
        resources:
            gpu=1,
        params:
            options=measuring_options(dataclasses.replace(RUN, profile=profile)),
            windows=f"checkpoints/nodes/{profile}/{NODE_BENCHMARK}/windows.jsonl",
            depends_on=planning.benchmark_sources_hash(ROOT, RUN.game),
        shell:
            "python -u -m alphazero benchmark measure {params.options}"
            " --windows {params.windows:q} --out {output:q} 2>&1 | tee -i {log:q}"


rule compare_nodes:
    input:
        expand(f"results/nodes/{{profile}}/{NODE_BENCHMARK}/measurements.json", profile=NODE_PROFILES),
    output:
        directory(f"results/nodes/{NODE_BENCHMARK}_machines"),
    log:
        f"logs/nodes/{NODE_BENCHMARK}_compare_nodes.log",
    conda:
        "../envs/native.yaml"
    params:
        depends_on=planning.benchmark_tables_hash(ROOT),
    shell:
        "python -u -m alphazero benchmark machines {input:q} --parts {output:q} 2>&1 | tee -i {log:q}"
