package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/match/document"
)

const trustListHelp = `List what a trust folder holds and what each thing is worth.

Certificates are shown by country: anchor (signed by itself and placed or
listed), link (proven by an anchor), refused with the reason. Lists of
revocations show their age: a CSCA publishes one at least every 90 days (ICAO
9303-12), whatever the list itself promises. What is not used at all comes
last, with the reason.

  gatectl trust list --dir trust --country DE
  gatectl trust list --dir trust --refused
  gatectl trust list --dir trust --json`

func trustListCommand() *cobra.Command {
	var dir, at, land string
	var refused, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List a trust folder",
		Long:  trustListHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			inv, _, err := inventory(dir, at)
			if err != nil {
				return fmt.Errorf("trust list: %w", err)
			}
			if land != "" {
				inv.Certificates = keep(inv.Certificates, func(c document.CertificateInfo) bool { return strings.EqualFold(c.Country, land) })
				inv.CRLs = keep(inv.CRLs, func(l document.CRLInfo) bool { return strings.EqualFold(l.Country, land) })
			}
			if refused {
				inv.Certificates = keep(inv.Certificates, func(c document.CertificateInfo) bool { return c.Reason != "" })
				inv.CRLs = keep(inv.CRLs, func(l document.CRLInfo) bool { return l.Reason != "" })
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), inv)
			}
			return printInventory(cmd.OutOrStdout(), inv)
		},
	}
	dirFlag(cmd, &dir)
	atFlag(cmd, &at)
	cmd.Flags().StringVar(&land, "country", "", "only this `country`, two letters")
	cmd.Flags().BoolVar(&refused, "refused", false, "only what is not used")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// inventory reads a trust folder and proves everything in it.
func inventory(dir, at string) (document.Inventory, *document.Trust, error) {
	when, err := moment(at)
	if err != nil {
		return document.Inventory{}, nil, err
	}
	trust, err := document.LoadTrust(dir, nil)
	if err != nil {
		return document.Inventory{}, nil, err
	}
	return trust.Inventory(when), trust, nil
}

func keep[T any](list []T, want func(T) bool) []T {
	out := []T{}
	for _, v := range list {
		if want(v) {
			out = append(out, v)
		}
	}
	return out
}

func printInventory(out io.Writer, inv document.Inventory) error {
	w := bufio.NewWriter(out)
	roles, countries := map[string]int{}, map[string]bool{}
	for _, c := range inv.Certificates {
		roles[c.Role]++
		countries[c.Country] = true
		printCertificate(w, c)
	}
	for _, l := range inv.CRLs {
		printCRL(w, l)
	}
	for _, l := range inv.DefectLists {
		fmt.Fprintf(w, "%-2s defects %s, signed %s, version %d, %d entries  %s\n", clean(l.Country), clean(l.Signer), days(l.Signed), l.Version, l.Entries, l.File)
	}
	for _, f := range inv.Unused {
		fmt.Fprintf(w, "   not used: %s: %s\n", f.File, clean(f.Detail))
	}
	fmt.Fprintf(w, "%d countries: %d anchors, %d links, %d refused; %d revocation lists, %d defect lists, %d document signers\n",
		len(countries), roles["anchor"], roles["link"], roles["refused"], len(inv.CRLs), len(inv.DefectLists), inv.Signers)
	return w.Flush()
}

func printCertificate(w io.Writer, c document.CertificateInfo) {
	fmt.Fprintf(w, "%-2s %-7s %s, %s, %s until %s, key %s  %s\n", clean(c.Country), c.Role, clean(c.Name), c.Key, c.State, days(c.Until), shortHash(c.KeyID), c.File)
	if c.Reason != "" {
		fmt.Fprintf(w, "           %s (%s): %s\n", c.Reason, clean(c.Detail), c.Reason.Text())
	}
}

func printCRL(w io.Writer, l document.CRLInfo) {
	fmt.Fprintf(w, "%-2s crl     %s of %s, %d days old, next by %s, %d revoked  %s\n", clean(l.Country), clean(l.Issuer), days(l.From), l.AgeDays, days(l.Next), l.Revoked, l.File)
	for _, note := range []struct {
		is   bool
		text string
	}{
		{!l.Proven, "not proven, does not count: " + l.Reason.Text()},
		{l.Proven && l.Reason != "", l.Reason.Text()},
		{l.Past90, "older than 90 days: get the current one"},
		{l.Stale, "past its next update: it still revokes, and vouches for nobody"},
		{l.Partial, "of limited scope: it revokes, and vouches for nobody"},
	} {
		if note.is {
			fmt.Fprintf(w, "           %s\n", note.text)
		}
	}
}

const trustVerifyHelp = `Prove a trust folder, or single certificates by it.

Without a file the whole folder is proven: the exit status is 1 when a file is
not used, a certificate or revocation list is not proven, or there is no anchor
at all. Expired certificates and old lists are named and are no error.

With files each certificate is proven by the folder: an anchor must lie in it.
The exit status is 1 when one is not trusted. Document signers are explained in
full by gatectl trust explain.

  gatectl trust verify --dir trust
  gatectl trust verify --dir trust signer.cer`

func trustVerifyCommand() *cobra.Command {
	var dir, at string
	cmd := &cobra.Command{
		Use:   "verify [FILE...]",
		Short: "Prove a trust folder, or certificates by it",
		Long:  trustVerifyHelp,
		RunE: func(cmd *cobra.Command, files []string) error {
			inv, trust, err := inventory(dir, at)
			if err == nil && len(files) == 0 {
				err = verifyFolder(cmd.OutOrStdout(), inv)
			} else if err == nil {
				err = verifyFiles(cmd.OutOrStdout(), trust, inv.At, files)
			}
			if err != nil {
				return fmt.Errorf("trust verify: %w", err)
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	atFlag(cmd, &at)
	return cmd
}

func verifyFolder(out io.Writer, inv document.Inventory) error {
	w := bufio.NewWriter(out)
	anchors, bad := 0, len(inv.Unused)
	for _, c := range inv.Certificates {
		switch {
		case c.Reason != "":
			bad++
			printCertificate(w, c)
		case c.State != "valid":
			printCertificate(w, c)
		}
		if c.Role == "anchor" {
			anchors++
		}
	}
	for _, l := range inv.CRLs {
		if !l.Proven {
			bad++
		}
		if !l.Proven || l.Past90 || l.Stale {
			printCRL(w, l)
		}
	}
	for _, f := range inv.Unused {
		fmt.Fprintf(w, "   not used: %s: %s\n", f.File, clean(f.Detail))
	}
	fmt.Fprintf(w, "%d certificates, %d anchors, %d revocation lists, %d defect lists; %d not used\n",
		len(inv.Certificates), anchors, len(inv.CRLs), len(inv.DefectLists), bad)
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case bad > 0:
		return fmt.Errorf("%d not used; each line above says why", bad)
	case anchors == 0:
		return errors.New("no anchor: no document can be trusted")
	}
	return nil
}

func verifyFiles(out io.Writer, trust *document.Trust, at time.Time, files []string) error {
	bad := 0
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		certs, err := document.ParseCertificates(b)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, c := range certs {
			info := trust.Assess(c, at)
			if info.File == "" {
				info.File = path
			}
			if printCertificate(out, info); info.Reason != "" {
				bad++
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d not trusted; each line above says why", bad)
	}
	return nil
}
