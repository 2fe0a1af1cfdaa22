"""The tree backend in Cython: `alphazero.mcts.cython._trees.CythonTrees`, once built (`make build`)."""
