package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/sim/doc"
	"gateagent/sim/vpcd"
)

func cardCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "card [PART OF A NAME]",
		Short: "Put one simulated document on a reader of its own until Ctrl-C",
		Long: `card starts a card reader daemon of its own, puts one document of the demo's
cast on its reader and says how to read it with gateagent. Without a name it
lists the cast.`,
		Example: "  gatesim card\n  gatesim card 'portrait altered'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cast, world, err := documents()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				for _, t := range cast {
					fmt.Fprintln(cmd.OutOrStdout(), t.name)
				}
				return nil
			}
			for _, t := range cast {
				if strings.Contains(t.name, args[0]) {
					return holdCard(cmd.Context(), cmd.OutOrStdout(), state, t, world)
				}
			}
			return fmt.Errorf("nobody in the cast is called %q; `gatesim card` lists it", args[0])
		},
	}
	cmd.Flags().StringVar(&state, "state", ".demo", "the one `folder` for everything; emptied first if it is an earlier demo's")
	return cmd
}

// documents are the members of the cast that have one.
func documents() ([]*traveller, *doc.World, error) {
	world := doc.NewWorld(1)
	cast, err := fixedCast(world)
	var out []*traveller
	for _, t := range cast {
		if t.card != nil {
			out = append(out, t)
		}
	}
	return out, world, err
}

// holdCard keeps a document on a private reader until ctx ends.
func holdCard(ctx context.Context, out io.Writer, state string, t *traveller, world *doc.World) (err error) {
	dir, lock, err := openFolder(state)
	if err != nil {
		return err
	}
	defer lock.Close()
	trust := filepath.Join(dir, "trust")
	if err := world.WriteTrust(trust, states()...); err != nil {
		return err
	}
	daemon, err := vpcd.StartDaemon(ctx, filepath.Join(dir, "pcscd"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Stop()) }()
	card := newField(t)
	defer card.Close()
	link, err := daemon.Insert(0, card)
	if err != nil {
		return err
	}
	defer link.Remove()
	go card.tear(link.Remove)
	key := "--can " + t.card.CAN()
	if t.byMRZ {
		key = "--mrz '" + strings.Join(t.card.MRZLines(), "/") + "'"
	}
	fmt.Fprintf(out, "%s lies on the reader until Ctrl-C. Read it in another terminal:\n\n  export %s=%s\n  gateagent read %s --trust %s --at %s --json\n",
		t.name, vpcd.SocketVariable, daemon.Socket(), key, trust, time.Now().UTC().Format(time.RFC3339))
	select {
	case <-ctx.Done():
		return nil
	case <-link.Done():
		if t.event == eventTorn {
			fmt.Fprintln(out, "torn out, as this one always is")
			return nil
		}
		return errors.New("the card reader daemon went away")
	}
}
