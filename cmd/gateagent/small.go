package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/config"
	"gateagent/drivers/pcsc"
	"gateagent/internal/passhash"
)

// configFlag adds the flag that run and check share.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "/etc/gateagent/gateagent.toml", "the kiosk's configuration `file`")
}

func checkCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration; every fault is named with file, line and column",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path)
			if err == nil {
				err = checkDevices(path, c)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is complete: gate %s, policy %s, face %s\n", path, c.Gate.Name, c.Policy.Name, c.Policy.Face)
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func readersCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "readers",
		Short: "List the card readers that pcscd knows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			names, err := pcsc.Readers(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				if names == nil {
					names = []string{}
				}
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string][]string{"readers": names})
			}
			if len(names) == 0 {
				return errors.New("there is no card reader; plug one in, or look at `systemctl status pcscd`")
			}
			for _, n := range names {
				fmt.Fprintln(cmd.OutOrStdout(), n)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin",
		Short: "Make the hash of an operator's PIN, read from standard input",
		Long: `pin reads one PIN (4 to 64 characters) from standard input and prints the hash
that belongs into the configuration:

  [[staff.operator]]
  name = "An Nguyen"
  pin = "HASH"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprint(cmd.ErrOrStderr(), "PIN: ")
			line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
			line = strings.TrimRight(line, "\r\n")
			if line == "" && err != nil {
				return errors.New("no PIN was given on standard input")
			}
			if len(line) < 4 || len(line) > 64 {
				return errors.New("a PIN has 4 to 64 characters")
			}
			fmt.Fprintln(cmd.OutOrStdout(), passhash.Hash([]byte(line)))
			return nil
		},
	}
}
