package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
	"gateagent/offline"
)

// outboxCommand is `gatectl outbox`: results of a kiosk that central cannot
// reach.
func outboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "outbox",
		Short: "On the kiosk: look at results that wait, and carry them to central by hand",
		Long: `Results of a kiosk that stays offline travel in a file:

  on the kiosk    gatectl outbox export --state /var/lib/gateagent --out results.jsonl
  at central      gatectl central import results.jsonl --central /var/lib/gatecentral --ack acks.jsonl
  on the kiosk    gatectl outbox acknowledge acks.jsonl --state /var/lib/gateagent

export and status read a copy: the agent may run. Results are sealed in the
file as on the disk. Taking a file in twice does no harm.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(outboxStatus(), outboxExport(), outboxAcknowledge(), outboxKeygen())
	return cmd
}

func outboxStatus() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status --state DIR",
		Short: "Say what waits for central",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := []offline.Standing{}
			err := offline.ReadFolder(cmd.Context(), state, func(s offline.Standing, _ func(uint64, int) ([]wire.Entry, error)) error {
				all = append(all, s)
				return nil
			})
			if err != nil && !errors.Is(err, offline.ErrIncomplete) {
				return err
			}
			if asJSON {
				return errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(all))
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "KIOSK\tEPOCH\tKEPT FROM\tTO\tACKNOWLEDGED TO\tWAITING\tSINCE")
			for _, s := range all {
				since := "-"
				if !s.Oldest.IsZero() {
					since = s.Oldest.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", s.Kiosk, s.Epoch, s.First, s.Last, s.Acknowledged, s.Last-s.Acknowledged, since)
			}
			return errors.Join(err, w.Flush())
		},
	}
	kioskState(cmd, &state)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

func outboxExport() *cobra.Command {
	var state, out string
	var all, stranded bool
	cmd := &cobra.Command{
		Use:   "export --state DIR --out FILE",
		Short: "Write the results that wait into a file, signed by the kiosk",
		Long: `Write the results that wait into a file, signed by the kiosk.

--stranded adds results of a damaged database that are whole and cannot be sent,
since others before them cannot be read. Central takes them with
"gatectl central import --accept-loss", which notes the unreadable ones as lost;
the folder outbox.damaged-... may be removed then.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			keys, err := wire.LoadKioskKeys(filepath.Join(state, wire.IdentityFolder))
			if err != nil {
				return fmt.Errorf("the file is signed with the kiosk's key: %w", err)
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			read := offline.ReadFolder
			if stranded {
				read = offline.ReadFolderWhole
			}
			n, err := export(f, keys, all, func(each offline.EachEpoch) error { return read(cmd.Context(), state, each) })
			var left error
			if errors.Is(err, offline.ErrIncomplete) { // what can be read is worth carrying
				left, err = err, nil
			}
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return errors.Join(err, os.Remove(out))
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d results of kiosk %s written; its key is %s\n", n, keys.Name, fingerprint(keys.Signing.Public().(ed25519.PublicKey)))
			return errors.Join(err, left)
		},
	}
	kioskState(cmd, &state)
	cmd.Flags().StringVarP(&out, "out", "o", "", "the file to make")
	cmd.Flags().BoolVar(&all, "all", false, "also what central has acknowledged and the kiosk still keeps")
	cmd.Flags().BoolVar(&stranded, "stranded", false, "also what a damaged database still held behind unreadable results")
	required(cmd, "out")
	return cmd
}

// exportStep is how many results are in memory at once.
const exportStep = 500

func export(w io.Writer, keys *wire.KioskKeys, all bool, epochs func(offline.EachEpoch) error) (n int, err error) {
	x, err := wire.NewExporter(w, keys.Name, keys.Signing, time.Now())
	if err != nil {
		return 0, err
	}
	err = epochs(func(s offline.Standing, read func(uint64, int) ([]wire.Entry, error)) error {
		if s.Kiosk != keys.Name {
			return fmt.Errorf("the results are of kiosk %s, the keys of %s", s.Kiosk, keys.Name)
		}
		after := s.Acknowledged
		if all {
			after = max(s.First, 1) - 1
		}
		for after < s.Last {
			entries, err := read(after, exportStep)
			if err != nil {
				return err
			}
			if len(entries) == 0 {
				return fmt.Errorf("epoch %s ends at %d instead of %d", s.Epoch, after, s.Last)
			}
			if err := x.Add(s.Epoch, entries); err != nil {
				return err
			}
			after, n = entries[len(entries)-1].Number, n+len(entries)
		}
		return nil
	})
	if err != nil && !errors.Is(err, offline.ErrIncomplete) {
		return n, err
	}
	if bad := x.Close(); bad != nil {
		return n, bad
	}
	return n, err
}

func outboxAcknowledge() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "acknowledge FILE --state DIR",
		Short: "Take central's acknowledgements from a file; the agent must be stopped",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			id, err := wire.LoadIdentity(filepath.Join(state, wire.IdentityFolder))
			if err != nil {
				return err
			}
			data, err := readBounded(cmd, args[0])
			if err != nil {
				return err
			}
			box, err := offline.Open(cmd.Context(), offline.Config{Dir: state, Kiosk: id.Name, MinFree: -1, Seal: id.SealTo})
			if err != nil {
				return fmt.Errorf("stop the agent first: %w", err)
			}
			defer func() { err = errors.Join(err, box.Close()) }()
			if err := box.Settled(cmd.Context()); err != nil { // acknowledgements may be for what was saved
				return err
			}
			lines := bufio.NewScanner(bytes.NewReader(data))
			var refused error // of one epoch; those behind it may fit
			for lines.Scan() {
				if err := acknowledgeLine(cmd.Context(), box, lines.Bytes(), state, id); err != nil {
					refused = errors.Join(refused, fmt.Errorf("%s: %w", args[0], err))
				}
			}
			if err := errors.Join(refused, lines.Err()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d results of kiosk %s still wait\n", box.Depth(), id.Name)
			return err
		},
	}
	kioskState(cmd, &state)
	return cmd
}

// acknowledgeLine takes one line of central's file: an acknowledgement, the
// keys of document references, or list secrets.
func acknowledgeLine(ctx context.Context, box *offline.Outbox, line []byte, state string, id *wire.Identity) error {
	if done, err := takeCommand(line, state, id); done {
		return err
	}
	ack, err := wire.DecodeAck(line)
	if err == nil {
		err = ack.Verify(id.AckKey)
	}
	if err == nil {
		err = box.Acknowledge(ctx, *ack)
	}
	return err
}

func outboxKeygen() *cobra.Command {
	var out, suite string
	cmd := &cobra.Command{
		Use:   "keygen --out DIR",
		Short: "For a kiosk without central: make the key pair to which it seals its results",
		Long: `Makes DIR/seal.pub, which the kiosk's configuration names as state.seal_key, and
DIR/seal.key, which opens the results (gatectl audit verify --open DIR/seal.key)
and never goes to the kiosk. A kiosk of a central needs neither.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := wire.ParseSuite(suite)
			if err != nil {
				return err
			}
			key, err := wire.NewOpenKey(s)
			if err != nil {
				return err
			}
			text, err := key.Text()
			if err != nil {
				return err
			}
			path := filepath.Join(out, "seal.key")
			if _, err := os.Lstat(path); err == nil {
				return fmt.Errorf("%s is there already and is never overwritten", path)
			}
			if err := os.MkdirAll(out, 0o700); err != nil {
				return err
			}
			if err := durable.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
			return durable.WriteFile(filepath.Join(out, "seal.pub"), []byte(key.Public().Text()), 0o644)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "the folder to make them in")
	cmd.Flags().StringVar(&suite, "sealing", wire.SuiteX25519.String(), "x25519, or x25519-mlkem768 also against quantum computers")
	required(cmd, "out")
	return cmd
}
