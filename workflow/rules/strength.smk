# Along the run: how long it took, all in, until the agent's error was below 5, 2, 1 and 0.5 %; and ratings.


rule strength:
    input:
        f"results/{RUN.folder}/strength",


rule measure_strength:
    input:
        extensions=once_there(EXTENSIONS),
        model="results/{run}/model.safetensors",
        metrics="results/{run}/metrics.csv",
        config="results/{run}/config.toml",
        weights="results/{run}/weights",
    output:
        directory("results/{run}/strength"),
    log:
        "logs/{run}/measure_strength.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        folder=subpath(input.model, parent=True),
        depends_on=lambda wildcards: planning.along_the_run_hash(ROOT, RUNS[wildcards.run]),
    shell:
        "python -u -m alphazero strength {params.folder:q} --out {output:q} 2>&1 | tee -i {log:q}"


rule ratings:
    input:
        f"results/{RUN.folder}/ratings",


rule rate_checkpoints:
    input:
        extensions=once_there(EXTENSIONS),
        model="results/{run}/model.safetensors",
        config="results/{run}/config.toml",
        weights="results/{run}/weights",
    output:
        directory("results/{run}/ratings"),
    log:
        "logs/{run}/rate_checkpoints.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        folder=subpath(input.model, parent=True),
        depends_on=lambda wildcards: planning.along_the_run_hash(ROOT, RUNS[wildcards.run]),
    shell:
        "python -u -m alphazero rate {params.folder:q} --out {output:q} 2>&1 | tee -i {log:q}"
