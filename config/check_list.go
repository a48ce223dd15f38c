package config

import (
	"path/filepath"
	"slices"
)

// Where the key lies that opens list secrets (List.Protect).
const (
	ProtectFile       = "file"       // in clear in the state folder: a stolen disk opens the list
	ProtectCredential = "credential" // a credential of systemd, which systemd-creds bound to the machine
	ProtectTPM        = "tpm"        // sealed by the machine's TPM 2.0
)

// lastPCR: a PC client's TPM has 24 platform configuration registers (TCG PC
// Client Platform TPM Profile, section 4.6).
const lastPCR = 23

func checkList(c *Config, bad fault) {
	l := &c.List
	if l.Protect == "" {
		l.Protect = ProtectFile
	}
	if l.TPM == "" {
		l.TPM = "/dev/tpmrm0"
	}
	if !slices.Contains([]string{ProtectFile, ProtectCredential, ProtectTPM}, l.Protect) {
		bad("list", 0, "protect", "%q is none of tpm, credential, file", l.Protect)
	}
	if !filepath.IsAbs(l.TPM) {
		bad("list", 0, "tpm", "%q is no device; write for example \"/dev/tpmrm0\"", l.TPM)
	}
	for i, n := range l.PCRs {
		switch {
		case n < 0 || n > lastPCR:
			bad("list", 0, "pcrs", "%d is no register: they are 0 to %d", n, lastPCR)
		case slices.Contains(l.PCRs[:i], n):
			bad("list", 0, "pcrs", "%d is there twice", n)
		case l.Protect != ProtectTPM:
			bad("list", 0, "pcrs", "count only with protect = \"tpm\"")
		}
	}
}
