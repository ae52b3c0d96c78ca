# SPDX-License-Identifier: MIT
# `make test-xen`: guests and domain 0 on Debian's Xen 4.17, in the same QEMU. Without the package: a loud skip.

.PHONY: test-xen
test-xen:
	@tests/deps.sh
	@$(MAKE) --no-print-directory guests $(DOM0)
	$(PYTHON) -m pytest tests/xen --junitxml=$(OUT)/junit-xen.xml
