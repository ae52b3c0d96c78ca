# SPDX-License-Identifier: MIT
"""domain 0's disk images on the host, with qemu-img as the judge: what it made is read back equal, what we wrote it finds whole."""
import os
import pathlib
import random
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build/imgtool"
FUZZ = int(os.environ.get("FUZZ_COUNT", "150"))
SEED = int(os.environ.get("SEED", "1"))
SECOND = float(os.environ.get("TEST_TIME_FACTOR", "1"))  # on a busy host; only a hang reaches the bounds
MIB = 1 << 20


@pytest.fixture(scope="session", autouse=True)
def built():
    if not os.environ.get("IMGTOOL_BUILT"):
        (ROOT / "build").mkdir(exist_ok=True)
        # One at a time: tests run beside each other.
        subprocess.run(["flock", "build/make.lock", "make", "-s", str(TOOL.relative_to(ROOT))], check=True, cwd=ROOT)


def run(*words, fails=False, timeout=300):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=timeout * SECOND)
    assert (done.returncode != 0) == fails, f"{words}\n{done.stdout}{done.stderr}"
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def tool(*words, **how):
    return run(TOOL, *words, **how)


def refused(*words):
    """One line with a reason, no crash."""
    done = subprocess.run([str(TOOL), *map(str, words)], capture_output=True, text=True, timeout=60 * SECOND)
    assert done.returncode == 1 and not done.stderr, done.stderr
    return done.stdout


def qemu_img(*words, **how):
    return run("qemu-img", *words, **how)


def equal(a, a_format, b, b_format):
    qemu_img("compare", "-f", a_format, "-F", b_format, a, b)


def raw(path, size, seed=1, parts=40):
    """A sparse file with random content in random places, and at both ends."""
    rng = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(size)
        places = [0, max(0, size - 3000)] + [rng.randrange(size) for _ in range(parts)]
        for at in places:
            f.seek(at)
            data = rng.randbytes(rng.randrange(1, 70000))
            if rng.random() < 0.5:
                data = data[:100] * (len(data) // 100)  # what can be compressed
            f.write(data[:size - at])
    return path


def whole(path, fmt):
    """Clean in our eyes and in qemu-img's."""
    assert "errors 0" in tool("check", path, fmt)
    if fmt != "raw":
        text = qemu_img("check", "-f", fmt, path)
        assert "No errors" in text and "leaked" not in text, text


def read_back(path, fmt, source, tmp):
    out = tmp / "out.raw"
    out.unlink(missing_ok=True)
    tool("convert", path, fmt, out, "raw")
    equal(out, "raw", source, "raw")
    out.unlink()


QCOW2 = ["cluster_size=512", "cluster_size=1024", "cluster_size=4096", "cluster_size=64k", "cluster_size=2M",
         "compat=0.10", "compat=1.1,lazy_refcounts=on", "preallocation=metadata", "preallocation=falloc",
         "compression_type=zstd", "refcount_bits=1", "refcount_bits=2", "refcount_bits=8", "refcount_bits=32",
         "refcount_bits=64", "cluster_size=512,refcount_bits=1"]
SIZES = [3 * MIB, 33 * MIB + 512 * 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", QCOW2)
def test_reads_qcow2_of_qemu(tmp_path, options, size):
    source = raw(tmp_path / "a.raw", size)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o", options, source, tmp_path / "a.qcow2")
    read_back(tmp_path / "a.qcow2", "qcow2", source, tmp_path)
    whole(tmp_path / "a.qcow2", "qcow2")


@pytest.mark.parametrize("options", ["cluster_size=512", "cluster_size=64k", "cluster_size=2M", "compat=0.10",
                                     "compression_type=zstd", "compression_type=zstd,cluster_size=4k"])
def test_reads_and_writes_compressed_qcow2(tmp_path, options):
    source = raw(tmp_path / "a.raw", SIZES[1])
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, source, tmp_path / "a.qcow2")
    read_back(tmp_path / "a.qcow2", "qcow2", source, tmp_path)
    whole(tmp_path / "a.qcow2", "qcow2")
    tool("random", tmp_path / "a.qcow2", "qcow2", source, 3, 400)
    equal(tmp_path / "a.qcow2", "qcow2", source, "raw")
    whole(tmp_path / "a.qcow2", "qcow2")


@pytest.mark.parametrize("options", QCOW2)
def test_writes_qcow2_of_qemu(tmp_path, options):
    qemu_img("create", "-f", "qcow2", "-o", options, tmp_path / "a.qcow2", f"{24 * MIB + 1536}")
    model = raw(tmp_path / "m.raw", 24 * MIB + 1536, parts=0)
    tool("random", tmp_path / "a.qcow2", "qcow2", model, 5, 1)
    os.truncate(model, 0)
    os.truncate(model, 24 * MIB + 1536)
    qemu_img("create", "-f", "qcow2", "-o", options, tmp_path / "a.qcow2", f"{24 * MIB + 1536}")
    for seed in (1, 2):
        tool("random", tmp_path / "a.qcow2", "qcow2", model, seed, 600)
        equal(tmp_path / "a.qcow2", "qcow2", model, "raw")
        whole(tmp_path / "a.qcow2", "qcow2")
    # And qemu goes on where we ended.
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 3M", tmp_path / "a.qcow2")
    run("qemu-io", "-f", "raw", "-c", "write -P 7 1M 3M", model)
    equal(tmp_path / "a.qcow2", "qcow2", model, "raw")
    whole(tmp_path / "a.qcow2", "qcow2")


def test_zero_clusters(tmp_path):
    source = raw(tmp_path / "a.raw", 8 * MIB)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", source, tmp_path / "a.qcow2")
    for what in ("write -z 1M 1M", "write -z -u 3M 1M", "discard 5M 1M"):
        for file, fmt in ((tmp_path / "a.qcow2", "qcow2"), (source, "raw")):
            command = what.replace("discard", "write -z") if fmt == "raw" else what
            run("qemu-io", "-f", fmt, "-c", command.replace(" -u", "") if fmt == "raw" else command, file)
    read_back(tmp_path / "a.qcow2", "qcow2", source, tmp_path)
    tool("random", tmp_path / "a.qcow2", "qcow2", source, 11, 500)
    equal(tmp_path / "a.qcow2", "qcow2", source, "raw")
    whole(tmp_path / "a.qcow2", "qcow2")


VMDK = ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", VMDK)
def test_reads_vmdk_of_qemu(tmp_path, kind, size):
    source = raw(tmp_path / "a.raw", size)
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={kind}", source, tmp_path / "a.vmdk")
    read_back(tmp_path / "a.vmdk", "vmdk", source, tmp_path)
    assert "errors 0" in tool("check", tmp_path / "a.vmdk", "vmdk")


@pytest.mark.parametrize("kind", VMDK[:4])
def test_writes_vmdk_of_qemu(tmp_path, kind):
    size = 24 * MIB + 1536
    qemu_img("create", "-f", "vmdk", "-o", f"subformat={kind}", tmp_path / "a.vmdk", size)
    model = raw(tmp_path / "m.raw", size, parts=0)
    tool("convert", model, "raw", tmp_path / "b.vmdk", "vmdk")
    os.truncate(model, 0)
    os.truncate(model, size)
    for seed in (1, 2):
        tool("random", tmp_path / "a.vmdk", "vmdk", model, seed, 600)
        equal(tmp_path / "a.vmdk", "vmdk", model, "raw")
        assert "errors 0" in tool("check", tmp_path / "a.vmdk", "vmdk")
        if kind == "monolithicSparse":
            whole(tmp_path / "a.vmdk", "vmdk")
    run("qemu-io", "-f", "vmdk", "-c", "write -P 7 1M 3M", tmp_path / "a.vmdk")
    run("qemu-io", "-f", "raw", "-c", "write -P 7 1M 3M", model)
    tool("random", tmp_path / "a.vmdk", "vmdk", model, 3, 100)
    equal(tmp_path / "a.vmdk", "vmdk", model, "raw")


def test_vmdk_across_extents_of_2_gib(tmp_path):
    size = 5 << 30
    source = raw(tmp_path / "a.raw", size)
    with open(source, "r+b") as f:
        for gib in (2, 4):
            f.seek((gib << 30) - 70000)
            f.write(random.Random(gib).randbytes(140000))
    for kind in ("twoGbMaxExtentSparse", "twoGbMaxExtentFlat"):
        qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={kind}", source, tmp_path / f"{kind}.vmdk")
        read_back(tmp_path / f"{kind}.vmdk", "vmdk", source, tmp_path)


@pytest.mark.parametrize("kind", [("qcow2", "variant=v2"), ("qcow2", "unit=512"), ("qcow2", "unit=4096"),
                                  ("qcow2", "unit=2097152"), ("qcow2", "variant=v3"), ("vmdk", "variant=monolithicSparse"),
                                  ("vmdk", "variant=monolithicFlat"), ("raw", "")])
@pytest.mark.parametrize("size", SIZES)
def test_made_by_us(tmp_path, kind, size):
    fmt, option = kind
    image, source = tmp_path / f"a.{fmt}", raw(tmp_path / "source.raw", size)
    tool("convert", source, "raw", image, fmt, option)
    equal(image, fmt, source, "raw")
    if "Flat" not in option:
        whole(image, fmt)
    assert f'"virtual-size": {size}' in qemu_img("info", "--output=json", "-f", fmt, image)
    tool("random", image, fmt, source, 9, 500)
    equal(image, fmt, source, "raw")
    if "Flat" not in option:
        whole(image, fmt)


# The tables of a VMDK image are made with it: 256 MiB of them for one as large as the other.
@pytest.mark.parametrize("fmt, size", [("qcow2", 1 << 40), ("vmdk", 1 << 36)])
def test_sparse_and_larger_than_4_gib(tmp_path, fmt, size):
    tool("create", tmp_path / f"a.{fmt}", fmt, size)
    model = tmp_path / "m.raw"
    model.touch()
    os.truncate(model, size)
    tool("random", tmp_path / f"a.{fmt}", fmt, model, 1, 300)
    equal(tmp_path / f"a.{fmt}", fmt, model, "raw")
    whole(tmp_path / f"a.{fmt}", fmt)
    assert (tmp_path / f"a.{fmt}").stat().st_blocks * 512 < 400 * MIB


def test_small_clusters_and_many_of_them(tmp_path):
    """The refcount table of 512-byte clusters has to grow several times, L1 and L2 tables are many."""
    tool("create", tmp_path / "a.qcow2", "qcow2", 128 * MIB, "unit=512")
    source = raw(tmp_path / "a.raw", 128 * MIB, parts=3000)
    tool("convert", source, "raw", tmp_path / "b.qcow2", "qcow2", "unit=512")
    equal(tmp_path / "b.qcow2", "qcow2", source, "raw")
    whole(tmp_path / "b.qcow2", "qcow2")


@pytest.mark.parametrize("kind", [("raw", ""), ("qcow2", "variant=v2"), ("qcow2", "unit=512"), ("qcow2", "unit=65536")])
def test_larger(tmp_path, kind):
    """Again and again, in between writes: with 512-byte clusters the first table moves each time."""
    fmt, option = kind
    image, model, size = tmp_path / f"a.{fmt}", raw(tmp_path / "m.raw", 3 * MIB), 3 * MIB
    tool("convert", model, "raw", image, fmt, option)
    for n in range(6):
        tool("random", image, fmt, model, n, 200)
        size = size * 2 + 512 * n
        tool("resize", image, fmt, size)
        os.truncate(model, size)
        equal(image, fmt, model, "raw")
        whole(image, fmt)
    tool("random", image, fmt, model, 9, 500)
    equal(image, fmt, model, "raw")
    whole(image, fmt)
    assert "never made smaller" in refused("resize", image, fmt, size - 512)
    assert "whole sectors" in refused("resize", image, fmt, size + 1)
    if option == "unit=512":
        assert "too large" in refused("resize", image, fmt, 1 << 30)
        whole(image, fmt)


def test_larger_is_refused(tmp_path):
    base = raw(tmp_path / "base.raw", 8 * MIB)
    qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, tmp_path / "small.qcow2", 4 * MIB)
    assert "its base is larger" in refused("resize", tmp_path / "small.qcow2", "qcow2", 6 * MIB)
    tool("create", tmp_path / "a.vmdk", "vmdk", MIB)
    assert "convert it to qcow2" in refused("resize", tmp_path / "a.vmdk", "vmdk", 2 * MIB)


# ---- chains ----

def test_chain_of_three_formats(tmp_path):
    base = raw(tmp_path / "base.raw", 20 * MIB)
    model = tmp_path / "m.raw"
    model.write_bytes(base.read_bytes())
    qemu_img("convert", "-O", "vmdk", "-f", "raw", base, tmp_path / "base.vmdk")
    tool("create", tmp_path / "mid.qcow2", "qcow2", 0, "base=base.vmdk", "basefmt=vmdk")
    tool("random", tmp_path / "mid.qcow2", "qcow2", model, 1, 300)
    tool("create", tmp_path / "top.qcow2", "qcow2", 0, "base=mid.qcow2", "basefmt=qcow2", "unit=4096", "variant=v2")
    tool("random", tmp_path / "top.qcow2", "qcow2", model, 2, 300)
    equal(tmp_path / "top.qcow2", "qcow2", model, "raw")
    whole(tmp_path / "mid.qcow2", "qcow2")
    whole(tmp_path / "top.qcow2", "qcow2")
    assert tool("info", tmp_path / "top.qcow2").count("\n") == 3
    read_back(tmp_path / "top.qcow2", "qcow2", model, tmp_path)
    tool("commit", tmp_path / "top.qcow2", "qcow2")
    equal(tmp_path / "mid.qcow2", "qcow2", model, "raw")
    whole(tmp_path / "mid.qcow2", "qcow2")


def test_child_larger_and_smaller_than_its_base(tmp_path):
    base = raw(tmp_path / "base.raw", 5 * MIB + 777)  # not even whole sectors
    for size in (9 * MIB, 3 * MIB):
        child = tmp_path / f"{size}.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, child, size)
        model = tmp_path / "m.raw"
        model.write_bytes(base.read_bytes()[:size])
        os.truncate(model, size)
        read_back(child, "qcow2", model, tmp_path)
        tool("random", child, "qcow2", model, 4, 300)
        equal(child, "qcow2", model, "raw")
        whole(child, "qcow2")


def test_vmdk_children(tmp_path):
    source = raw(tmp_path / "m.raw", 20 * MIB)
    qemu_img("convert", "-O", "vmdk", "-f", "raw", source, tmp_path / "base.vmdk")
    qemu_img("create", "-f", "vmdk", "-F", "vmdk", "-b", tmp_path / "base.vmdk", tmp_path / "theirs.vmdk")
    tool("create", tmp_path / "ours.vmdk", "vmdk", 0, "base=base.vmdk", "basefmt=vmdk")
    for child in ("theirs", "ours"):
        model = tmp_path / f"{child}.raw"
        model.write_bytes(source.read_bytes())
        tool("random", tmp_path / f"{child}.vmdk", "vmdk", model, 1, 400)
        equal(tmp_path / f"{child}.vmdk", "vmdk", model, "raw")
        whole(tmp_path / f"{child}.vmdk", "vmdk")
    tool("random", tmp_path / "base.vmdk", "vmdk", source, 1, 5)
    assert "was changed after" in refused("info", tmp_path / "ours.vmdk")


# ---- what is refused, and how ----

def test_loops_and_depth(tmp_path):
    for name, base in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")):
        qemu_img("create", "-u", "-f", "qcow2", "-F", "qcow2", "-b", f"{base}.qcow2", tmp_path / f"{name}.qcow2", "1M")
    assert "loop" in refused("info", tmp_path / "a.qcow2")
    assert "loop" in refused("info", tmp_path / "d.qcow2")
    qemu_img("create", "-f", "qcow2", tmp_path / "0.qcow2", "1M")
    for n in range(1, 18):
        qemu_img("create", "-u", "-f", "qcow2", "-F", "qcow2", "-b", f"{n - 1}.qcow2", tmp_path / f"{n}.qcow2", "1M")
    assert "info" not in tool("info", tmp_path / "15.qcow2")
    assert "more than 16" in refused("info", tmp_path / "17.qcow2")


def test_refusals(tmp_path):
    def made(options, name="x.qcow2", *more):
        qemu_img("create", "-f", "qcow2", "-o", options, *more, tmp_path / name, "4M")
        return tmp_path / name

    assert "subclusters" in refused("info", made("extended_l2=on"))
    assert "file of their own" in refused("info", made(f"data_file={tmp_path}/data"))
    assert "encrypted" in refused("info", made("encrypt.format=luks,encrypt.key-secret=s", "x.qcow2", "--object",
                                               "secret,id=s,data=abc"))
    snapshots = made("compat=1.1", "s.qcow2")
    qemu_img("snapshot", "-c", "one", snapshots)
    assert "can only be read: it has 1 internal snapshots" in refused("random", snapshots, "qcow2", snapshots, 1, 1)
    assert "internal snapshots" in tool("info", snapshots) and "errors 0 leaks 0" in tool("check", snapshots, "qcow2")
    base = made("compat=1.1", "base.qcow2")
    run("python3", "-c", OLD_CHILD, tmp_path / "old.qcow2", base)
    assert "does not say which format" in refused("info", tmp_path / "old.qcow2")
    (tmp_path / "no.vmdk").write_bytes(b"no such thing")
    assert "no VMDK" in refused("info", tmp_path / "no.vmdk")
    assert "no qcow2" in refused("info", tmp_path / "no.vmdk", "qcow2")
    assert "no such file" in refused("info", tmp_path / "absent.qcow2")
    qemu_img("create", "-u", "-f", "qcow2", "-F", "raw", "-b", "nbd://host/x", tmp_path / "n.qcow2", "1M")
    assert "no file of this disk" in refused("info", tmp_path / "n.qcow2")
    (tmp_path / "f.vmdk").write_text("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
                                     "RW 2048 FLAT \"no.vmdk\" 0\n")
    assert "shorter than" in refused("info", tmp_path / "f.vmdk")
    (tmp_path / "f.vmdk").write_text("# Disk DescriptorFile\nCID=1\ncreateType=\"fullDevice\"\n")
    assert "of type fullDevice" in refused("info", tmp_path / "f.vmdk")


# A child of a qcow2 base that does not say so: an old image, or a trick.
OLD_CHILD = """
import subprocess, sys
path, base = sys.argv[1:]
subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, path, "4M"], check=True)
data = bytearray(open(path, "rb").read())
at = data.index(bytes.fromhex("e2792aca"))
data[at:at + 4] = b"\\0\\0\\0\\1"
open(path, "wb").write(data)
"""


def test_dirty_image_is_repaired(tmp_path):
    image, model = tmp_path / "a.qcow2", raw(tmp_path / "m.raw", 16 * MIB)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o", "lazy_refcounts=on", model, image)
    with open(image, "r+b") as f:
        f.seek(79)
        f.write(b"\1")  # incompatible feature: dirty
        f.seek(0x20000)
        f.write(bytes(200))  # refcounts are gone
    assert "not up to date" in refused("random", image, "qcow2", model, 1, 1)
    read_back(image, "qcow2", model, tmp_path)
    refused("check", image, "qcow2")
    tool("check", image, "qcow2", "repair")
    whole(image, "qcow2")
    tool("random", image, "qcow2", model, 1, 100)
    equal(image, "qcow2", model, "raw")


def test_unclean_vmdk_gets_its_copies_right(tmp_path):
    image, model = tmp_path / "a.vmdk", raw(tmp_path / "m.raw", 16 * MIB)
    qemu_img("convert", "-f", "raw", "-O", "vmdk", model, image)
    with open(image, "r+b") as f:
        f.seek(72)
        f.write(b"\1")
        f.seek(22 * 512)
        f.write(bytes(64))  # of the second grain table
    refused("check", image, "vmdk")
    tool("random", image, "vmdk", model, 1, 100)
    whole(image, "vmdk")
    assert image.read_bytes()[72] == 0
    equal(image, "vmdk", model, "raw")


# ---- power cuts, and damaged images ----

@pytest.mark.parametrize("fmt, option", [("qcow2", "unit=512"), ("qcow2", "unit=4096"), ("qcow2", "unit=65536"),
                                         ("vmdk", "variant=monolithicSparse"), ("raw", "")])
def test_power_cuts(tmp_path, fmt, option):
    tool("create", tmp_path / "a", fmt, 4 * MIB, option)
    tool("crash", tmp_path / "a", fmt, SEED, 600, 40, tmp_path)
    for cut in tmp_path.glob("cut*.qcow2"):
        done = subprocess.run(["qemu-img", "check", "-f", "qcow2", str(cut)], capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: leaked clusters alone


def test_power_cuts_over_compressed_clusters(tmp_path):
    """Writes free what was compressed: refcounts fall only when nothing refers to it any more."""
    source = tmp_path / "z.raw"
    source.touch()
    os.truncate(source, 4 * MIB)
    tool("create", tmp_path / "a.qcow2", "qcow2", 4 * MIB, "unit=4096")
    run("qemu-io", "-f", "qcow2", *[w for at in range(0, 4096, 4) for w in ("-c", f"write -c -P 0 {at}k 4k")],
        tmp_path / "a.qcow2")
    tool("crash", tmp_path / "a.qcow2", "qcow2", SEED, 500, 40, tmp_path)


@pytest.mark.parametrize("kind", ["qcow2 cluster_size=512", "qcow2 cluster_size=64k", "qcow2 compressed", "qcow2 zstd",
                                  "qcow2 snapshot", "vmdk monolithicSparse", "vmdk streamOptimized", "vmdk descriptor"])
def test_damaged_images(tmp_path, kind):
    fmt, option = kind.split()
    image = tmp_path / "a"
    source = raw(tmp_path / "a.raw", 300 * 1024, parts=4)
    if fmt == "vmdk":
        name = tmp_path / "b.vmdk" if option == "descriptor" else image
        sub = "monolithicFlat" if option == "descriptor" else option
        qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={sub}", source, name)
        if option == "descriptor":
            image.write_text(name.read_text().replace("b-flat.vmdk", "a").replace("RW 600", "RW 1"))
    else:
        how = {"compressed": ["-c", "-o", "cluster_size=4k"], "zstd": ["-c", "-o", "compression_type=zstd"],
               "snapshot": []}.get(option, ["-o", option])
        qemu_img("convert", *how, "-f", "raw", "-O", "qcow2", source, image)
        if option == "snapshot":
            qemu_img("snapshot", "-c", "one", image)
    tool("fuzz", image, fmt, SEED, FUZZ, timeout=600)
