# Does a faster configuration train as good an agent? Trainings side by side, compared with a reference. The
# trainings are no output on purpose: each lies under a name made of its settings and sources, so that a session
# that was stopped goes on, and an edit trains again only what it changes.

QUALITY = f"{MACHINE}/{RUN.resolved.config.hardware_profile}/{benchmark_name().replace('benchmark', 'quality', 1)}"


rule quality:
    input:
        f"results/{QUALITY}/quality.html",


rule compare_quality:
    input:
        extensions=EXTENSIONS,
        hardware=once_there(f"results/{MACHINE}/hardware.json"),
        plans=["workflow/quality/plan.toml", "workflow/quality/quick.toml"],
        variants=[path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "workflow/quality/variants").glob("*.toml"))],
    output:
        f"results/{QUALITY}/quality.json",
    log:
        f"logs/{QUALITY}/compare_quality.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        options=measuring_options(RUN),
        trainings=f"checkpoints/{QUALITY}",
        depends_on=planning.quality_hash(ROOT, RUN),
    shell:
        "python -u -m alphazero quality measure {params.options} --hardware {input.hardware:q}"
        " --trainings {params.trainings:q} --out {output:q} 2>&1 | tee -i {log:q}"


rule tabulate_quality:
    input:
        f"results/{QUALITY}/quality.json",
    output:
        page=report(
            f"results/{QUALITY}/quality.html",
            caption="../report/quality.rst",
            category="Quality",
        ),
        parts=directory(f"results/{QUALITY}/tables"),
    log:
        f"logs/{QUALITY}/tabulate_quality.log",
    conda:
        "../envs/native.yaml"
    params:
        depends_on=planning.report_hash(ROOT),
    shell:
        "python -u -m alphazero quality tabulate {input:q} --out {output.page:q} --parts {output.parts:q}"
        " 2>&1 | tee -i {log:q}"
