package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gateagent/match/document"
	"gateagent/match/document/pki"
)

// defaultTrust is where the kiosk's configuration has its trust folder.
const defaultTrust = "/etc/gateagent/trust"

// trustCommand is `gatectl trust`: what documents are judged by.
func trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Import, list and prove what documents are judged by",
		Long: `Import, list and prove what documents are judged by.

A trust folder holds files, each whole and under a name that follows from its
content when import wrote it:

  *.cer *.der *.pem  CSCA certificates, the anchors of states; link
                     certificates from one key of a CSCA to the next; document
                     signers, for documents that lack their own
  *.ml               master lists: the CSCAs that another state trusts
  *.crl              revocation lists of CSCAs
  *.dl *.dfl         defect lists (BSI TR-03129-2)

A file that you place there yourself counts as well: an anchor is trusted
because it lies there. import asks for more: a master list must be signed by a
signer that you name.

First steps:

  gatectl trust import --dir trust csca-germany.cer
  gatectl trust import --dir trust --signer csca-germany.cer DE_ML.ml
  gatectl trust import --dir trust icaopkd-001-complete.ldif
  gatectl trust list   --dir trust
  gatectl trust explain --dir trust signer.cer

The agent notices a changed folder by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(trustImportCommand(), trustListCommand(), trustVerifyCommand(), trustExplainCommand())
	return cmd
}

// dirFlag adds --dir.
func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", defaultTrust, "trust `folder`")
}

// atFlag adds --at.
func atFlag(cmd *cobra.Command, at *string) {
	cmd.Flags().StringVar(at, "at", "", "`time` to judge validity and age at (RFC 3339; default now, by this machine's clock)")
}

func moment(at string) (time.Time, error) {
	if at == "" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return time.Time{}, fmt.Errorf("--at %q is no time; write for example 2026-11-21T08:00:00+07:00", at)
	}
	return t, nil
}

// readCertificate reads a file with one certificate.
func readCertificate(path string) (*pki.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := document.ParseCertificates(b)
	if err == nil && len(certs) != 1 {
		err = errors.New("holds several certificates where one is wanted")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certs[0], nil
}

// days writes a date.
func days(t time.Time) string {
	if t.IsZero() {
		return "at no stated time"
	}
	return t.UTC().Format(time.DateOnly)
}

// shortHash is enough of a fingerprint for people to find one among many.
func shortHash(s string) string {
	if b, err := hex.DecodeString(s); err == nil && len(b) > 8 {
		return s[:16]
	}
	return s
}

// clean keeps text from certificates from doing anything to a terminal.
func clean(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r < ' ' || r >= 0x7F && r < 0xA0 || r == 0x2028 || r == 0x2029 || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			out[i] = '?'
		}
	}
	return string(out)
}
