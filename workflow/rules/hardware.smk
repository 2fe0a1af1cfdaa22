# The machine as it is, for the record. What is chosen by it is chosen while parsing (common.smk).


rule detect_hardware:
    output:
        f"results/{MACHINE}/hardware.json",
    log:
        f"logs/{MACHINE}/detect_hardware.log",
    conda:
        "../envs/native.yaml"
    shell:
        "python -u -m alphazero detect --json --out {output:q} > {log:q} 2>&1"
