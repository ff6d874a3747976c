package main

import "github.com/spf13/cobra"

func newPlan(_ *kubeFlags) *cobra.Command { return &cobra.Command{Use: "plan"} }
