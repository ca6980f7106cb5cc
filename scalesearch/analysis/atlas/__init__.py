"""The atlas of coefficients: where the optimum was found for several families, data sets and budgets."""
