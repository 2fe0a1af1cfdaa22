# Native code. Without a compiler EXTENSIONS is empty: nothing is built, and the pure-Python backend serves.

if EXTENSIONS:

    localrules:
        build_extension,

    rule build_extension:
        input:
            [path.as_posix() for path in native_build.native_sources(ROOT)],
        output:
            EXTENSIONS,
        log:
            "logs/build_extension.log",
        conda:
            "../envs/native.yaml"
        threads: workflow.cores
        shell:
            "python -u -m alphazero.native_build 2>&1 | tee -i {log:q}"


rule record_build:
    input:
        EXTENSIONS,
    output:
        f"results/{MACHINE}/build.json",
    log:
        f"logs/{MACHINE}/record_build.log",
    conda:
        "../envs/native.yaml"
    shell:
        "python -u -m alphazero.native_build --record {output:q} > {log:q} 2>&1"
