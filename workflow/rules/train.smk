# One training run: its settings, then the agent.


rule train:
    input:
        expand(
            "results/{run}/{result}",
            run=RUN.folder,
            result=["model.safetensors", "metrics.csv", "evaluation", "report.html"],
        ),


rule resolve_config:
    input:
        extensions=once_there(EXTENSIONS),  # which tree backends there are
        hardware=once_there(f"results/{MACHINE}/hardware.json"),
    output:
        "results/{run}/settings.toml",
    log:
        "logs/{run}/resolve_config.log",
    conda:
        "../envs/native.yaml"
    params:
        options=lambda wildcards: planning.config_options(RUNS[wildcards.run]),
        settings=lambda wildcards: planning.settings_hash(RUNS[wildcards.run]),
    shell:
        "python -u -m alphazero config {params.options} --hardware {input.hardware:q} --out {output:q}"
        " 2>&1 >/dev/null | tee -i {log:q}"


# The checkpoints are no output on purpose: Snakemake deletes the outputs of a job that failed or was stopped, and
# then the same command could not go on from the last one. What makes an agent stale is `depends_on`, not the age
# of the settings file: a new comment in it retrains nothing.
rule train_game:
    input:
        extensions=once_there(EXTENSIONS),
        build=once_there(f"results/{MACHINE}/build.json"),
        # Not ancient: Snakemake would not look at `depends_on` of a job behind one that has to run and is ancient. It is
        # written again only when a setting has changed.
        settings="results/{run}/settings.toml",
    output:
        model="results/{run}/model.safetensors",
        metrics="results/{run}/metrics.csv",
        config="results/{run}/config.toml",
        hardware="results/{run}/hardware.json",
        provenance="results/{run}/provenance.json",
        training="results/{run}/training.json",
        weights=directory("results/{run}/weights"),
    log:
        "logs/{run}/train_game.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        folder=subpath(output.model, parent=True),
        checkpoints=lambda wildcards: f"checkpoints/{wildcards.run}/{planning.checkpoint_key(ROOT, RUNS[wildcards.run])}",
        depends_on=lambda wildcards: planning.training_hash(ROOT, RUNS[wildcards.run]),
    shell:
        "python -u -m alphazero train --config {input.settings:q} --out {params.folder:q}"
        " --checkpoints {params.checkpoints:q} --evaluate no 2>&1 | tee -i {log:q}"
