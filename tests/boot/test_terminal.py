# SPDX-License-Identifier: MIT
"""The serial terminal when one side is slow: what is typed ahead, and a terminal that nobody reads."""
import threading
import time

LINES = 500


def test_typed_ahead(boot):
    """More than all buffers hold, and faster than commands run: nothing is lost. Domain 0 is not where the port's interrupt comes, or
    its own work would keep it away."""
    with boot(cpus=2) as m:
        m.wait_prompt()
        assert m.run("vcpu-pin 0 0 1") == ""
        text = "".join(f"info\rinfo nosuch{n}\r" for n in range(LINES))
        typist = threading.Thread(target=m.send, args=(text,))  # it may have to wait until some of what comes back is read
        typist.start()
        for n in range(LINES):
            m.expect_exact(f"there is no key 'nosuch{n}'")
        typist.join()
        m.wait_prompt()
        assert m.poweroff() == 0


def test_nobody_reads(boot):
    """The machine goes on without its terminal, and has it back when somebody reads again."""
    with boot(cpus=1) as m:
        m.wait_prompt()
        m.send("help\r" * 60)
        before = -1
        while m.worked() > before + 0.1:  # until it has given up, and is idle
            before = m.worked()
            time.sleep(3)
        m.sync()
        assert "Domain-0" in m.run("list")
        assert m.poweroff() == 0
