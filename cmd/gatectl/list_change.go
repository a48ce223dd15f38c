package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gateagent/internal/durable"
	"gateagent/match/allowlist"
)

// listDeltaCommand is `gatectl list delta`.
func listDeltaCommand() *cobra.Command {
	var old, next, out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "delta --old DIR --new DIR --out FILE",
		Short: "Make the patch that leads from one version of a list to the next",
		Long: `Make the patch that leads from one version of a list to the next, both built
under one generation and the newer with --base, the folder of the older one.
Kiosks that have the older version make the newer one out of it and must arrive
at the same root; the patch proves nothing and opens nothing by itself.

  gatectl list build --base list-26 --out list-27 --version 27 ...
  gatectl list delta --old list-26 --new list-27 --out 26-27.delta
  gatectl publish list list-27 --airport SGN --delta 26=26-27.delta`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sum, err := makeDelta(cmd.Context(), old, next, out)
			if err != nil {
				return fmt.Errorf("list delta: %w", err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), sum)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: version %d to %d, %d added, %d changed, %d removed, %d new sets\n",
				out, sum.From, sum.To, sum.Added, sum.Changed, sum.Removed, sum.Sets)
			return err
		},
	}
	cmd.Flags().StringVar(&old, "old", "", "folder of the older list")
	cmd.Flags().StringVar(&next, "new", "", "folder of the newer list")
	cmd.Flags().StringVar(&out, "out", "", "file of the patch; must not be there yet")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the sums as JSON")
	for _, name := range []string{"old", "new", "out"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}

func makeDelta(ctx context.Context, oldDir, nextDir, out string) (sum allowlist.DeltaSummary, err error) {
	old, err := allowlist.OpenBuilt(oldDir)
	if err != nil {
		return sum, fmt.Errorf("%s: %w", oldDir, err)
	}
	defer old.Close()
	next, err := allowlist.OpenBuilt(nextDir)
	if err != nil {
		return sum, fmt.Errorf("%s: %w", nextDir, err)
	}
	defer next.Close()
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return sum, err
	}
	sum, err = allowlist.Diff(ctx, old, next, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(out))
	}
	return sum, err
}

const listRevokeHelp = `Take documents off the lists of a generation at once: adds one change to a file
of revocations, which is made when it is absent. It holds match keys under the
generation's secret, no number and no name, and can only remove.

Documents come from standard input, one a line, so that none stays in the
shell's history; name every match key that the list may know the traveller by:

  VNM,ID,001099000001          issuer, type and number
  signature,HEX                SHA-256 of the signature in EF.SOD
  NGUYEN/VAN A,1999-08-17,VN123  name, birth date and flight

  gatectl list revoke --file revocations --secret keys/generation-1.secret < documents
  gatectl publish revocations revocations --airport SGN

--forget N drops the changes up to N, which every list in use takes into account
(gatectl list build --revoked N).`

// listRevokeCommand is `gatectl list revoke`.
func listRevokeCommand() *cobra.Command {
	var file, secret string
	var forget uint64
	cmd := &cobra.Command{
		Use:   "revoke --file FILE --secret generation-N.secret",
		Short: "Take documents off a list at once",
		Long:  listRevokeHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := revoke(file, secret, forget, cmd.InOrStdin())
			if err != nil {
				return fmt.Errorf("list revoke: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: change %d, %d match keys are off the list, changes up to %d are forgotten\n", file, r.Number, r.Count(), r.Base)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "file of the revocations")
	cmd.Flags().StringVar(&secret, "secret", "", "secret of the generation that the documents are listed under")
	cmd.Flags().Uint64Var(&forget, "forget", 0, "drop the changes up to this one; nothing is read from standard input then")
	cmd.MarkFlagRequired("file")
	return cmd
}

func revoke(file, secretFile string, forget uint64, in io.Reader) (*allowlist.Revocations, error) {
	r := &allowlist.Revocations{}
	b, err := os.ReadFile(file)
	if err == nil {
		r, err = allowlist.ParseRevocations(b)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if forget > 0 {
		r.Forget(forget)
		return r, durable.WriteFile(file, r.Marshal(), 0o644)
	}
	if secretFile == "" {
		return nil, errors.New("--secret: name the file of the generation's secret")
	}
	secret, err := allowlist.ReadSecret(secretFile)
	if err != nil {
		return nil, err
	}
	documents, err := readDocuments(in)
	if err != nil {
		return nil, err
	}
	if err := r.Revoke(secret, documents...); err != nil {
		return nil, err
	}
	return r, durable.WriteFile(file, r.Marshal(), 0o644)
}

// readDocuments reads one document a line. Errors name the line, never what
// stands in it.
func readDocuments(in io.Reader) ([]allowlist.Document, error) {
	var all []allowlist.Document
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		d, err := parseDocument(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, d)
	}
	return all, lines.Err()
}

// parseDocument reads a match key as revoke and show take it.
func parseDocument(text string) (allowlist.Document, error) {
	parts := strings.Split(text, ",")
	switch {
	case len(parts) == 2 && parts[0] == "signature":
		return allowlist.Document{Signature: parts[1]}, nil
	case len(parts) == 3 && len(strings.TrimSpace(parts[1])) == len("1999-08-17"):
		return allowlist.Document{Name: parts[0], Birth: parts[1], Flight: parts[2]}, nil
	case len(parts) == 3:
		return allowlist.Document{Issuer: parts[0], Type: parts[1], Number: parts[2]}, nil
	}
	return allowlist.Document{}, errors.New("want issuer,type,number or signature,HEX or name,birth date,flight")
}
