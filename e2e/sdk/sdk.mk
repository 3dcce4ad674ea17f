# The SDKs of the LLM providers, as clients. Included by the top Makefile.

SDK_PYTHON := .tools/sdk-venv/bin/python
SDK_STAMP := .tools/sdk-venv/.installed

# A new venv for new pins: what an old one had besides would not be noticed.
$(SDK_STAMP): e2e/sdk/requirements.txt
	rm -rf .tools/sdk-venv
	python3 -m venv .tools/sdk-venv
	$(SDK_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	$(SDK_PYTHON) -m pip check --disable-pip-version-check
	touch $@

.PHONY: sdk
sdk: $(SDK_STAMP) ## install the LLM SDKs that e2e/sdk/requirements.txt pins into .tools/

.PHONY: test-sdk
test-sdk: sdk ## the SDKs against the mock LLM providers
	CHANCERY_SDK_REQUIRED=1 CHANCERY_SDK_PYTHON=$(CURDIR)/$(SDK_PYTHON) $(CARGO) test --locked --package mock-llm
