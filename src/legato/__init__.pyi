"""The public names as an editor and a type checker see them: `__init__.py` imports each when it is first used."""

from legato.conditional import Conditional as Conditional
from legato.data import DataOptions as DataOptions
from legato.data import open_source as open_source
from legato.doctored import doctor as doctor
from legato.errors import Mistake as Mistake
from legato.estimator import VAE as VAE
from legato.estimator import Autoencoder as Autoencoder
from legato.families import Family as Family
from legato.latents import Flat as Flat
from legato.latents import Latent as Latent
from legato.loading import load as load
from legato.measured import measure as measure
from legato.measures import Estimate as Estimate
from legato.measures import compare as compare
from legato.measures import evaluate as evaluate
from legato.model import LatentVariableModel as LatentVariableModel
from legato.objectives import Distortion as Distortion
from legato.objectives import ImportanceWeighted as ImportanceWeighted
from legato.objectives import MeanRate as MeanRate
from legato.objectives import Objective as Objective
from legato.objectives import Rate as Rate
from legato.objectives import Term as Term
from legato.objectives import anneal as anneal
from legato.priors import Prior as Prior
from legato.priors import StandardNormal as StandardNormal
from legato.pythae import from_pythae as from_pythae
from legato.recipes import Recipe as Recipe
from legato.recipes import recipe as recipe
from legato.refits import refit as refit
from legato.trace import Given as Given
from legato.trace import Rung as Rung
from legato.trace import Trace as Trace
from legato.training import train as train

__version__: str
