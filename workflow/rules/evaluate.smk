# The agent's strength: errors on solved positions before and after, matches, learning curves.


rule evaluate_agent:
    input:
        extensions=once_there(EXTENSIONS),
        settings=ancient("results/{run}/settings.toml"),
        model="results/{run}/model.safetensors",
        weights="results/{run}/weights",
    output:
        directory("results/{run}/evaluation"),
    log:
        "logs/{run}/evaluate_agent.log",
    conda:
        "../envs/native.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        folder=subpath(input.model, parent=True),
        depends_on=lambda wildcards: planning.evaluation_hash(ROOT, RUNS[wildcards.run]),
    shell:
        "python -u -m alphazero evaluate --run {params.folder:q} --config {input.settings:q}"
        " 2>&1 | tee -i {log:q}"
