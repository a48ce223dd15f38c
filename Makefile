# make demo        a whole gate on this machine, with simulated travellers
# make test        everything: format, vet, staticcheck, unit, integration, race
# Both install what is missing first (scripts/setup).

GO      ?= go
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E env PATH="$$PATH")
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
BIN     := bin
PREFIX  ?= /usr
DESTDIR ?=
FUZZTIME ?= 30s
DEMOFLAGS := $(if $(ONCE),--once) $(if $(JSON),--json)

.PHONY: help setup build demo demo-face test lint soak fuzz faults install uninstall clean bench-list bench-offline bench-face bench-read bench-push

help:
	@sed -n 's/^# //p' Makefile

setup:
	@scripts/setup

build:
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN)/ ./cmd/...

# ONCE=1: a fixed cast, every outcome checked, exit status 0 only if all fit.
# Namespaces for a pcscd of its own need root.
demo: setup build
	@$(SUDO) $(BIN)/gatesim demo $(DEMOFLAGS)

# The same with the face step, on a real page in Chromium with a simulated
# camera.
demo-face: setup build
	@$(SUDO) $(BIN)/gatesim demo --faces $(DEMOFLAGS)

test: setup lint
	@$(SUDO) scripts/test

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-clean:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags faults ./faults/
	$(GO) tool staticcheck ./...

# 10,000 insertions at 0.9 s on two readers: takes more than an hour.
# Before it 10,000 documents are read in process: no growth.
soak: setup
	$(GO) test -tags soak -run TestReadsDoNotGrow -count=1 -v ./gate/
	$(SUDO) $(GO) test -tags soak -run TestNoLeak -count=1 -timeout 6h -v ./drivers/pcsc/

# Every fuzz target for FUZZTIME each.
fuzz:
	@GO="$(GO)" scripts/fuzz $(FUZZTIME)

# Everything that may not lose a result: power cuts at every write, failing
# disks, kills, networks, certificates, clocks, 72 hours offline; half an hour.
# SHORT=1: three minutes; KILLS=n: of each of three gates; SEED=n repeats a run;
# ONLY=REGEX: the parts whose names match.
faults: setup
	@$(SUDO) GO="$(GO)" SHORT="$(SHORT)" SEED="$(or $(SEED),0)" KILLS="$(or $(KILLS),340)" ONLY="$(ONLY)" scripts/faults

# The allowlist: name, value, unit, the most it may be, quotient; fails when a
# limit is not held. SIZE=100M: entries (default 200000), needs 150 bytes of disk
# each under BENCHDIR; PEERS=10M: entries of SQLite, bbolt and the filter beside.
bench-list:
	@SIZE="$(SIZE)" PEERS="$(PEERS)" BENCHDIR="$(BENCHDIR)" $(GO) test -tags bench -run '^$$' -bench Figures -benchtime 1x -timeout 2h ./match/allowlist/

# The face step on one core, with the recommended pack and the AT&T faces of
# ../shared: name, value, unit, the most it may be, quotient.
bench-face: setup
	@scripts/face-yardstick
	@$(GO) test -run '^$$' -bench Face -benchtime 1x ./match/face/

# Documents read over a private card reader daemon, against the least time that
# the chip needs: NAME WALL ms FLOOR RATIO, APDUs, host CPU. Takes ten minutes;
# fails when a limit is not held. BENCHFLAGS="--direct --profile vnm" for less.
bench-read: setup build
	@$(SUDO) $(BIN)/gatesim bench read $(BENCHFLAGS)

# Revocations from the command that publishes them to the kiosk that heeds them,
# over broker and HTTPS: NAME VALUE UNIT FLOOR RATIO; fails above a second.
bench-push: setup
	@$(SUDO) $(GO) test -run '^$$' -bench Push -benchtime 1x -timeout 10m ./e2e/

# The outbox and its way to central: NAME VALUE UNIT FLOOR RATIO. LONG=1: with a
# queue of 1,000,000 results, too. The peers' floor is our own rate.
bench-offline: setup
	@GO="$(GO)" LONG="$(LONG)" scripts/bench-offline

install: build
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(BIN)/gateagent $(BIN)/gatectl $(BIN)/gatecentral
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/gateagent.service systemd/gatecentral.service
	install -D -m 0644 systemd/gateagent.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/gateagent.conf
	install -D -m 0644 systemd/gatecentral.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/gatecentral.conf
	install -D -m 0644 systemd/gateagent.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/gateagent.conf
	install -D -m 0644 systemd/50-gateagent.rules $(DESTDIR)$(PREFIX)/share/polkit-1/rules.d/50-gateagent.rules
	install -D -m 0644 config/gateagent.toml $(DESTDIR)$(PREFIX)/share/doc/gateagent/gateagent.toml
	@echo "next: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload; README, 'On a real kiosk', goes on"

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,gateagent gatectl gatecentral)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/system/,gateagent.service gatecentral.service)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/lib/sysusers.d/,gateagent.conf gatecentral.conf)
	rm -f $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/gateagent.conf $(DESTDIR)$(PREFIX)/share/polkit-1/rules.d/50-gateagent.rules
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/gateagent

clean:
	rm -rf $(BIN) .demo
