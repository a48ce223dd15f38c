package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/match/allowlist"
)

const listShowHelp = `Show what an allowlist says about itself, and prove it.

Without --key the statement is shown as a claim: nothing is proven. With --key
the signature and the table's header are proven; --verify proves every page and
checks the rules of the layout; --lookup asks for one document with the secret
in DIR/list.key. --lookup - reads the document from standard input, so that it
does not stay in the shell's history.

  gatectl list show list --key keys/signing.pub --lookup VNM,ID,001099000001

The exit code is 0 when everything that was asked for is proven; a document
that is not on the list is an answer, no error. An expired list can be shown:
"in force until" says it.`

// showFlags are the flags of `gatectl list show`.
type showFlags struct {
	dir, key, lookup string
	verify, json     bool
}

// listView is what show prints.
type listView struct {
	Generation uint32    `json:"generation"`
	Version    uint64    `json:"version"`
	Entries    uint64    `json:"entries"`
	Issued     time.Time `json:"issued"`
	Expires    time.Time `json:"expires"`
	Expired    bool      `json:"expired"`
	Airport    string    `json:"airport,omitempty"`
	Revoked    uint64    `json:"revoked"`
	Root       string    `json:"root"`
	KeyID      string    `json:"key_id"`
	Layout     int       `json:"layout"`
	Proven     string    `json:"proven"` // nothing, header, all
	Sets       *uint64   `json:"sets,omitempty"`
	// Found is null unless a document was asked for.
	Found *[]foundEntry `json:"found,omitempty"`
}

type foundEntry struct {
	allowlist.Entry
	Answer string `json:"answer"`
}

// listShowCommand is `gatectl list show`.
func listShowCommand() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Show and prove an allowlist",
		Long:  listShowHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.dir = args[0]
			view, err := showList(cmd.Context(), f, cmd.InOrStdin())
			if err != nil {
				return fmt.Errorf("list show: %w", err)
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), view)
			}
			return printView(cmd.OutOrStdout(), view)
		},
	}
	cmd.Flags().StringVar(&f.key, "key", "", "public key that must have signed the list (signing.pub)")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "prove every page; needs --key")
	cmd.Flags().StringVar(&f.lookup, "lookup", "", "issuer,type,number of a document to ask for, or signature,HEX, or name,birth date,flight; - reads it from standard input; needs --key")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func showList(ctx context.Context, f showFlags, stdin io.Reader) (*listView, error) {
	if f.key == "" {
		if f.verify || f.lookup != "" {
			return nil, errors.New("--verify and --lookup prove what they say and need --key signing.pub")
		}
		raw, err := os.ReadFile(filepath.Join(f.dir, allowlist.StatementFile))
		if err != nil {
			return nil, err
		}
		st, err := allowlist.ParseStatement(raw)
		return viewOf(st, "nothing"), err
	}
	keys, err := allowlist.ReadPublicKeys(f.key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	var secret *allowlist.GenerationSecret
	if f.lookup != "" {
		if secret, err = allowlist.ReadSecret(filepath.Join(f.dir, allowlist.SecretFile)); err != nil {
			return nil, err
		}
	}
	table, err := allowlist.Open(f.dir, keys, secret)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	view, sets := viewOf(table.Statement(), "header"), table.Sets()
	view.Sets = &sets
	if f.verify {
		if err := table.Verify(ctx); err != nil {
			return nil, err
		}
		view.Proven = "all"
	}
	if f.lookup != "" {
		view.Found, err = lookUp(table, f.lookup, stdin)
	}
	return view, err
}

func viewOf(st allowlist.Statement, proven string) *listView {
	return &listView{
		Generation: st.Generation, Version: st.Version, Entries: st.Entries,
		Issued: st.Issued, Expires: st.Expires, Expired: !time.Now().Before(st.Expires),
		Airport: st.Airport, Revoked: st.Revoked,
		Root: hex.EncodeToString(st.Root[:]), KeyID: hex.EncodeToString(st.KeyID[:]),
		Layout: allowlist.Layout, Proven: proven,
	}
}

// lookUp asks for a document like VNM,ID,001099000001.
func lookUp(table *allowlist.Table, text string, stdin io.Reader) (*[]foundEntry, error) {
	if text == "-" {
		line, err := bufio.NewReader(io.LimitReader(stdin, 256)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		text = line
	}
	d, err := parseDocument(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("--lookup: %w", err)
	}
	entries, err := table.Find(d)
	if err != nil {
		return nil, err
	}
	found := make([]foundEntry, 0, len(entries))
	for _, e := range entries {
		found = append(found, foundEntry{Entry: e, Answer: e.Answer.String()})
	}
	return &found, nil
}

func printView(out io.Writer, v *listView) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "generation     %d\nversion        %d\nentries        %d\n", v.Generation, v.Version, v.Entries)
	if v.Sets != nil {
		fmt.Fprintf(w, "sets           %d\n", *v.Sets)
	}
	expired := ""
	if v.Expired {
		expired = "  (expired)"
	}
	if v.Airport != "" {
		fmt.Fprintf(w, "airport        %s\n", v.Airport)
	}
	fmt.Fprintf(w, "revocations    up to change %d are in it\n", v.Revoked)
	fmt.Fprintf(w, "issued         %s\nin force until %s%s\nroot           %s\nsigned by key  %s\nlayout         %d\n",
		v.Issued.Format(time.RFC3339), v.Expires.Format(time.RFC3339), expired, v.Root, v.KeyID, v.Layout)
	switch v.Proven {
	case "nothing":
		fmt.Fprintln(w, "proven         nothing: give --key signing.pub")
	case "header":
		fmt.Fprintln(w, "proven         signature and header; --verify proves every page")
	case "all":
		fmt.Fprintln(w, "proven         signature and every page")
	}
	if v.Found != nil {
		if len(*v.Found) == 0 {
			fmt.Fprintln(w, "document       not on the list")
		}
		for _, e := range *v.Found {
			priority := ""
			if e.Priority {
				priority = ", priority"
			}
			fmt.Fprintf(w, "document       %s%s from %s until %s, flights %s, gates %s\n", e.Answer, priority,
				e.From.Format(time.RFC3339), e.Until.Format(time.RFC3339), orNone(e.Flights), orNone(e.Gates))
		}
	}
	return w.Flush()
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ";")
}
