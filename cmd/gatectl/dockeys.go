package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

func centralDocKeys() *cobra.Command {
	var f centralFlags
	var rotate bool
	var days int
	cmd := &cobra.Command{
		Use:   "document-keys --central DIR",
		Short: "List the keys of document references, or put a new one in force now",
		Long: `Records name documents by a keyed hash. The key changes by itself, every 30 days
unless --days says otherwise, and kiosks get the next one a week before. With
--rotate it changes now: after a kiosk was lost, for instance (gatectl kiosk
revoke does so by itself). Kiosks that are connected have the new key within
seconds, the others when they come back. The service may run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days != 0 && !rotate {
				return errors.New("--days counts from the next key on: give --rotate as well")
			}
			return f.open(cmd, func(_ context.Context, r *enrol.Registry) error {
				now := time.Now()
				set, err := r.CA.DocKeys(now)
				if err == nil && rotate {
					set, err = r.CA.RotateDocKeys(now, days)
				}
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "KEY\tFROM\tUNTIL\tSTATE")
				for _, k := range set.Keys {
					state := "over"
					switch {
					case k.ID == set.At(now).ID:
						state = "in force"
					case now.Before(k.From):
						state = "next"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.ID, k.From.Format(time.RFC3339), k.Until.Format(time.RFC3339), state)
				}
				return w.Flush()
			})
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&rotate, "rotate", false, "end the key in force and put a new one in its place")
	cmd.Flags().IntVar(&days, "days", 0, "how long keys are in force from now on (0: as before)")
	return cmd
}

// docKeyLine gives the present document keys for a kiosk that is not online, as
// a line beside its acknowledgements.
func docKeyLine(ctx context.Context, r *enrol.Registry, kiosk string) ([]byte, error) {
	set, err := r.CA.DocKeys(time.Now())
	if err != nil {
		return nil, err
	}
	c, err := r.DocKeys(ctx, kiosk, set)
	if err != nil {
		return nil, err
	}
	return c.Encode()
}

// takeCommand takes such a line at the kiosk, document keys or list secrets;
// done says whether it was one.
func takeCommand(line []byte, state string, id *wire.Identity) (done bool, err error) {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(line, &kind); err != nil || kind.Kind != wire.CommandDocKeys && kind.Kind != wire.CommandListSecrets {
		return false, nil
	}
	c, err := wire.DecodeCommand(line)
	if err != nil {
		return true, err
	}
	// What is wrong with older ones on the disk, these put right.
	dir := filepath.Join(state, wire.IdentityFolder)
	if c.Kind == wire.CommandListSecrets {
		ring, _ := wire.OpenListSecrets(dir, id)
		err = ring.Take(c)
	} else {
		ring, _ := wire.OpenDocKeyring(dir, id)
		err = ring.Take(c)
	}
	if !errors.Is(err, wire.ErrOld) {
		return true, err
	}
	return true, nil // the kiosk has newer ones already
}
