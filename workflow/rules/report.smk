# One page that a person reads, with every picture in it; it opens from disk. Its parts lie beside it.


rule write_report:
    input:
        metrics="results/{run}/metrics.csv",
        evaluation="results/{run}/evaluation",
    output:
        page=report(
            "results/{run}/report.html",
            caption="../report/run.rst",
            category="Training runs",
            labels={"run": "{run}"},
        ),
        parts=directory("results/{run}/tables"),
    log:
        "logs/{run}/write_report.log",
    conda:
        "../envs/native.yaml"
    params:
        folder=subpath(input.metrics, parent=True),
        training_log="logs/{run}/train_game.log",
        depends_on=planning.report_hash(ROOT),
    shell:
        "python -u -m alphazero report {params.folder:q} --log {params.training_log:q}"
        " --out {output.page:q} --parts {output.parts:q} 2>&1 | tee -i {log:q}"
