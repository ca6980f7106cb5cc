from scalesearch.api import Accuracy as Accuracy
from scalesearch.api import FoundNetwork as FoundNetwork
from scalesearch.api import Study as Study
from scalesearch.api import build_network as build_network
from scalesearch.api import list_studies as list_studies
from scalesearch.api import load_study as load_study
from scalesearch.errors import ScaleSearchError as ScaleSearchError

__version__: str
