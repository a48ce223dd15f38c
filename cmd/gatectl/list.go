package main

import "github.com/spf13/cobra"

// listCommand is `gatectl list`: allowlists.
func listCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "Build and inspect allowlists"}
}
